//! What the tests and `record` share: how a program is built and run, what its output is held
//! against, and which names exist in the brokers.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use guide::examples::Example;

pub mod brokers;
pub mod compare;
pub mod fault;
pub mod inventory;
pub mod program;
pub mod record;

/// The root of the project.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// All example programs, by name.
///
/// # Errors
/// `snippets/` cannot be read, or two programs have the same name.
pub fn examples(root: &Path) -> Result<Vec<Example>> {
    let mut names = Vec::new();
    for folder in std::fs::read_dir(root.join("snippets")).context("cannot read snippets/")? {
        let Ok(files) = std::fs::read_dir(folder?.path().join("examples")) else {
            continue; // no crate of examples
        };
        for file in files {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "rs") {
                names.extend(
                    file.file_stem()
                        .map(|name| name.to_string_lossy().into_owned()),
                );
            }
        }
    }
    names.sort();
    names
        .iter()
        .map(|name| Example::find(root, name).map_err(anyhow::Error::msg))
        .collect()
}
