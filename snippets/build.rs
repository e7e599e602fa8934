//! Hands the pages, as their readers see them, to skeptic.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("snippets/ is a folder of the project")?;
    for changed in ["book", "book.toml", "Cargo.toml", "snippets"] {
        println!("cargo::rerun-if-changed={}", root.join(changed).display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    let mut pages = Vec::new();
    for (path, text) in guide::expanded_markdown(root)? {
        // Flat, because skeptic names a test after the file's name alone.
        let page = out.join(path.to_string_lossy().replace('/', "_"));
        fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))?;
        pages.push(page);
    }
    skeptic::generate_doc_tests(&pages);
    Ok(())
}
