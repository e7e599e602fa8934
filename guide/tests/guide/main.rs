//! Tests of the guide on a small book: its pages, its error messages, its server.

mod guarantees;
mod mistakes;
mod pages;
mod parts;
mod programs;
mod serving;
mod support;
