//! The search: what the crate `guide-search`, which is optimised in every build, makes of the pages.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use guide_search::{Content, Page};

use crate::{
    expand::heading_id,
    model::{page, program::System},
    text::memo::Memo,
};

/// Reads a rendered page for the index; `known` is what pages say, by their HTML and keywords.
///
/// # Errors
/// The page can't be parsed.
pub fn read(page: &page::Page, html: &str, known: &Memo<Arc<Content>>) -> Result<Page> {
    let part = page.part.as_deref().unwrap_or_default();
    // The part is a word for each of its pages: a pattern, a comparison.
    let keywords = format!("{}, {part}", page.keywords());
    let description = page.description();
    let content = known.try_get_or((html, description, &keywords), || {
        Content::of(html, description, &keywords).map(Arc::new)
    })?;
    Ok(Page {
        address: page.address.to_string(),
        part: part.to_owned(),
        system: page.system().map(System::name),
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
