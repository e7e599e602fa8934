//! Checks that the build leaves to its own commands and tests.

pub mod search_quality;
pub mod stale;
pub mod unmarked;
