//! Tests of the guide on a small book: its pages, its error messages, its server.

mod grid;
mod guarantees;
mod mistakes;
mod pages;
mod parts;
mod programs;
mod rooms;
mod serving;
mod support;
