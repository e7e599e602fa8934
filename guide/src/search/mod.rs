//! The search: the index of the pages (the crate `guide-search`, which is optimised in every build), and how
//! good it is.

pub mod quality;

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use anyhow::Result;
pub use guide_search::{Content, Page};

use crate::{
    examples::System,
    memo::Memo,
    preprocess::{PageFacts, heading_id},
};

/// What pages say, by their HTML and keywords.
static KNOWN: LazyLock<Memo<Arc<Content>>> = LazyLock::new(Memo::default);

/// Reads a rendered page for the index.
///
/// # Errors
/// The page can't be parsed.
pub fn read(address: &str, part: &str, facts: &PageFacts, html: &str) -> Result<Page> {
    // The part is a word for each of its pages: a pattern, a comparison.
    let keywords = format!("{}, {part}", facts.keywords);
    let content = KNOWN.try_get_or((html, &facts.description, &keywords), || {
        Content::of(html, &facts.description, &keywords).map(Arc::new)
    })?;
    Ok(Page {
        address: address.to_owned(),
        part: part.to_owned(),
        system: facts.system.map(System::name),
        content,
    })
}

/// Writes the index of the pages below the site's folder.
///
/// # Errors
/// A file can't be written.
pub fn write(pages: Vec<Page>, site: &Path) -> Result<()> {
    let systems = System::ALL.map(System::name);
    guide_search::write(pages, &systems, heading_id, site)
}
