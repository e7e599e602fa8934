//! The built site behind the guide's own server, once for a test binary.

use std::{fs::File, path::PathBuf, sync::OnceLock};

use anyhow::{Context, Result};
use guide::serve::Host;
use sandbox::tools;

struct Site {
    host: Host,
    folder: PathBuf,
    /// Other test programs wait for the folder until this one ends.
    _lock: File,
}

static SITE: OnceLock<Result<Site, String>> = OnceLock::new();

/// The site as readers get it: built on the first call, compressed, with the policy's headers.
///
/// # Errors
/// The guide does not build, or no port can be had.
pub fn site() -> Result<&'static Host> {
    Ok(&built()?.host)
}

/// The folder of the built site.
///
/// # Errors
/// As [`site`].
pub fn root_of_site() -> Result<PathBuf> {
    Ok(built()?.folder.clone())
}

fn built() -> Result<&'static Site> {
    let site = SITE.get_or_init(|| start().map_err(|e| format!("{e:#}")));
    site.as_ref().map_err(|e| anyhow::Error::msg(e.clone()))
}

fn start() -> Result<Site> {
    let (target, lock) = tools::locked_target("site", "tests the pages")?;
    let folder = target.join("browser/site");
    guide::build::build_into(&crate::root(), &folder).context("the guide does not build")?;
    let host = Host::start(&folder)?;
    Ok(Site {
        host,
        folder,
        _lock: lock,
    })
}
