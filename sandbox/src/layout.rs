//! Where the sandbox keeps things: one folder under the workspace's target folder.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::progress::note;

/// The folders of one workspace's sandbox.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// The folder with the workspace's Cargo.toml and docker-compose.yml.
    pub workspace: PathBuf,
    /// `target/sandbox`.
    pub home: PathBuf,
}

impl Layout {
    pub fn find() -> Result<Self> {
        let workspace = workspace()?;
        // A relative one is meant from the workspace: `cargo test` starts tests elsewhere.
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) if !folder.is_empty() => workspace.join(folder),
            _ => workspace.join("target"),
        };
        Self::at(workspace, target.join("sandbox"))
    }

    pub fn at(workspace: PathBuf, home: PathBuf) -> Result<Self> {
        let layout = Self { workspace, home };
        fs::create_dir_all(layout.runs())
            .with_context(|| format!("making the folder {}", layout.runs().display()))?;
        Ok(layout)
    }

    /// One folder for each run: `usual` for `up`, and one for each private sandbox.
    pub fn runs(&self) -> PathBuf {
        self.home.join("run")
    }

    /// The run of `up`, on the usual ports.
    pub fn usual_run(&self) -> PathBuf {
        self.runs().join("usual")
    }

    /// Takes the lock `name`, and says so on stderr when another process has it.
    /// The system releases it when the process ends, however it ends.
    pub fn lock(&self, name: &str, why: &str) -> Result<File> {
        let path = self.home.join(format!("{name}.lock"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                note(&format!("another sandbox {why}: waiting for it"))
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("locking {}", path.display()));
            }
        }
        file.lock()
            .with_context(|| format!("locking {}", path.display()))?;
        Ok(file)
    }
}

/// Cargo tells what it starts where its package is; a copied binary looks upwards from where it is called.
fn workspace() -> Result<PathBuf> {
    let starts = [
        env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from),
        env::current_dir().ok(),
    ];
    for start in starts.into_iter().flatten() {
        if let Some(root) = start.ancestors().find(|folder| is_workspace(folder)) {
            return Ok(root.to_path_buf());
        }
    }
    bail!("no workspace here: call the sandbox from the project's folder");
}

fn is_workspace(folder: &Path) -> bool {
    fs::read_to_string(folder.join("Cargo.toml"))
        .is_ok_and(|manifest| manifest.lines().any(|line| line.trim() == "[workspace]"))
}
