//! The guide in other forms than pages: social cards, an EPUB and a PDF. They take seconds, so only
//! `build --all` makes them.

pub mod cards;
mod document;
mod epub;
mod pdf;

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use mdbook_driver::MDBook;

use crate::{examples::System, navigation::Navigation, preprocess::PageFacts};
use document::Document;

/// The names of the EPUB and the PDF in the site.
pub const EPUB: &str = "messaging-systems-compared.epub";
pub const PDF: &str = "messaging-systems-compared.pdf";

/// A page of the complete site, as the editions use it.
struct Leaf<'a> {
    address: &'a str,
    name: &'a str,
    part: Option<&'a str>,
    system: Option<System>,
    description: &'a str,
}

/// Makes all editions of the complete site in `folder`.
///
/// # Errors
/// A page can't be read, a font or the browser is missing, or a file can't be written.
pub fn make(book: &MDBook, folder: &Path, facts: &BTreeMap<String, PageFacts>) -> Result<()> {
    let navigation = Navigation::of(&book.book);
    let leaves = leaves(&navigation, facts);
    cards::make(&book.root.join("target/cards"), folder, &leaves)?;
    let documents = leaves.iter().map(|leaf| {
        let html = fs::read_to_string(folder.join(leaf.address))
            .with_context(|| format!("cannot read {}", leaf.address))?;
        Ok(Document::of(&html))
    });
    let documents = documents.collect::<Result<Vec<_>>>()?;
    let pages: Vec<_> = leaves.iter().zip(&documents).collect();
    let config = &book.config.book;
    epub::write(&folder.join(EPUB), folder, config, &pages)?;
    pdf::write(&folder.join(PDF), folder, config, &pages)
}

fn leaves<'a>(navigation: &'a Navigation, facts: &'a BTreeMap<String, PageFacts>) -> Vec<Leaf<'a>> {
    let leaves = navigation.pages().filter_map(|(part, address, name)| {
        let facts = facts.get(address)?;
        Some(Leaf {
            address,
            name,
            part,
            system: facts.system,
            description: &facts.description,
        })
    });
    leaves.collect()
}
