//! Nothing here: this crate's test compiles the Rust blocks of the guide's pages.
