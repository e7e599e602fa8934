//! The guide in a real browser: every page in both schemes and widths, and what a reader does with it.

mod editions;
mod pages;
mod passed;
mod reader;
