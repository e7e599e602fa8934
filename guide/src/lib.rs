//! Turns `book/` into the site: expands what the chapters only name (programs, what they printed,
//! evidence, drawings), renders the pages with mdBook, completes and checks them.
//!
//! The binary `guide` serves and builds; `snippets/build.rs` uses [`expanded_markdown`].

pub mod build;
mod cargo_add;
pub mod cli;
mod complaints;
mod editions;
pub mod errors;
pub mod examples;
mod files;
mod finish;
pub mod guarantees;
mod highlight;
mod host_files;
pub mod ledger;
mod links;
mod markup;
mod matrix;
mod memo;
mod modules;
mod navigation;
mod page;
mod port;
mod preprocess;
mod runs;
pub mod search;
pub mod serve;
mod settings;
mod site;
mod stale;
mod styles;
mod summary;
mod twins;
pub mod unmarked;
mod watch;

pub use build::expanded_markdown;
pub use cargo_add::{Dependencies, Dependency};
pub use highlight::rust_code_only;
