//! Turns `book/` into the site: expands what the chapters only name (programs, what they printed,
//! evidence, drawings), renders the pages with mdBook, completes and checks them.
//!
//! The binary `guide` serves and builds; `snippets/build.rs` uses [`expanded_markdown`]. What lies in which
//! room, and what no room may do, is in `ARCHITECTURE.md`.

pub mod build;
mod check;
pub mod cli;
mod expand;
mod model;
pub mod serve;
mod site;
mod stock;
mod text;

pub use build::expanded_markdown;
pub use check::unmarked;
pub use model::{
    address::{Address, EPUB, PDF},
    book::Book,
    cargo_add::{Dependencies, Dependency},
    ledger,
};
pub use text::{
    grammar::rust_code_only,
    markup, problem as errors,
    terminal::{one_line_each, warn},
};

/// The search, and how good it is.
pub mod search {
    pub use guide_search::{Content, Page, stem, words};

    pub use crate::check::search_quality as quality;
}

/// What readers run, and what each printed.
pub mod examples {
    pub use crate::model::{
        program::{Example, Kind, System},
        record::{Record, Recording, Varies},
    };
}

/// Fault experiments and their records.
pub mod guarantees {
    pub use crate::model::experiment::{Case, Counts, Guarantee, RECORDS, SOURCES, file};
}
