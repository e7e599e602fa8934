//! One test for each Rust block of the pages: it compiles.

include!(concat!(env!("OUT_DIR"), "/skeptic-tests.rs"));
