//! The guide in other forms than pages: social cards, an EPUB and a PDF. They take seconds, and their crates
//! minutes to compile, so only `build --all` makes them: it runs this program on the complete site.

mod cards;
mod document;
mod epub;
mod pdf;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use mdbook_driver::config::Config;

use clap::Parser;
use document::Document;
use guide::{Address, Book, EPUB, PDF, examples::System};

/// Makes the cards, the EPUB and the PDF of a complete site.
#[derive(Parser)]
struct Cli {
    /// The project's folder, where book.toml is.
    #[arg(long)]
    root: PathBuf,
    /// The folder of the site.
    #[arg(long)]
    site: PathBuf,
}

fn main() -> ExitCode {
    let Cli { root, site } = Cli::parse();
    match made(&root, &site) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            guide::warn(&guide::one_line_each(&error));
            ExitCode::FAILURE
        }
    }
}

fn made(root: &Path, site: &Path) -> Result<()> {
    let (book, config) = guide::build::survey(root)?;
    make(&book, &config, site)
}

/// A page of the complete site, as the editions use it.
struct Leaf<'a> {
    address: &'a Address,
    name: &'a str,
    part: Option<&'a str>,
    system: Option<System>,
    description: &'a str,
}

/// Makes all editions of the complete site in `folder`.
///
/// # Errors
/// A page can't be read, a font or the browser is missing, or a file can't be written.
fn make(book: &Book, config: &Config, folder: &Path) -> Result<()> {
    let leaves = leaves(book);
    cards::make(&book.root.join("target/cards"), folder, &leaves)?;
    let documents = leaves.iter().map(|leaf| {
        let html = fs::read_to_string(folder.join(leaf.address))
            .with_context(|| format!("cannot read {}", leaf.address))?;
        Ok(Document::of(&html))
    });
    let documents = documents.collect::<Result<Vec<_>>>()?;
    let pages: Vec<_> = leaves.iter().zip(&documents).collect();
    epub::write(&folder.join(EPUB), folder, &config.book, &pages)?;
    pdf::write(&folder.join(PDF), folder, &config.book, &pages)
}

fn leaves(book: &Book) -> Vec<Leaf<'_>> {
    let leaves = book.pages.iter().map(|page| Leaf {
        address: &page.address,
        name: &page.name,
        part: page.part.as_deref(),
        system: page.system(),
        description: page.description(),
    });
    leaves.collect()
}
