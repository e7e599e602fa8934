//! What the tests and `record` share: how a program is built and run, what its output is held
//! against, and which names exist in the brokers.

use std::path::{Path, PathBuf};

use anyhow::Result;
use guide::examples::Example;

pub mod brokers;
pub mod browser;
pub mod compare;
pub mod crash;
pub mod fault;
pub mod guarantees;
pub mod interactive;
pub mod inventory;
pub mod neighbours;
pub mod program;
pub mod record;
pub mod traces;

/// The root of the project.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// All programs, command-line sessions and tests that readers run, by name.
///
/// # Errors
/// `snippets/` cannot be read, or two programs have the same name.
pub fn examples(root: &Path) -> Result<Vec<Example>> {
    Example::all(root).map_err(anyhow::Error::msg)
}
