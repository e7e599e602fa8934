//! What tests need besides brokers, got in the same way: programs from the system's packages, and
//! processes that end with the test.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::layout::Layout;
use crate::prerequisites;
pub use crate::process::{Leashed, leashed, run};

/// Makes sure that programs are installed, each given with the Debian package that has it: as root
/// on Debian or Ubuntu it installs them and says so.
///
/// # Errors
///
/// A program is missing; the message has the command that installs it, and `otherwise`.
pub fn require(programs: &[(&str, &'static str)], otherwise: &str) -> Result<()> {
    let layout = Layout::find()?;
    let _lock = layout.lock("tools", "installs programs")?;
    prerequisites::require_programs(&layout, programs, otherwise)
}

/// Makes sure that fonts are installed, each given by the name of its file with the Debian package
/// that has it: as root on Debian or Ubuntu it installs them and says so.
///
/// # Errors
///
/// A font is missing; the message has the command that installs it, and `otherwise`.
pub fn require_fonts(fonts: &[(&str, &'static str)], otherwise: &str) -> Result<()> {
    let layout = Layout::find()?;
    let _lock = layout.lock("tools", "installs fonts")?;
    prerequisites::require_fonts(&layout, fonts, otherwise)
}

/// The first of these programs that is on the path.
pub fn find(names: &[&str]) -> Option<PathBuf> {
    names
        .iter()
        .find_map(|name| prerequisites::find_program(name))
}

/// The folder for what is downloaded and remembered, `target` of the workspace, and a lock on the
/// thing `name` in it that other processes wait for.
///
/// # Errors
///
/// The workspace isn't found, or the lock can't be made.
pub fn locked_target(name: &str, why: &str) -> Result<(PathBuf, std::fs::File)> {
    let layout = Layout::find()?;
    let lock = layout.lock(name, why)?;
    let target = layout.home.parent().unwrap_or(Path::new("target"));
    Ok((target.to_owned(), lock))
}

/// Whether this process is root, which a browser's own sandbox refuses.
pub fn is_root() -> bool {
    prerequisites::is_root()
}
