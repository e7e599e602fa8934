//! After mdBook: the pass over the pages, the check of their links, and the removal of what mdBook
//! writes and no page uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use mdbook_driver::MDBook;

use crate::{
    errors::Problems,
    links::{Links, Origin},
    page::{self, Outline, Place},
    preprocess::PageFacts,
};

/// Completes the rendered pages in `folder`, checks their links and removes what no page uses.
///
/// # Errors
/// [`Problems`] for links that lead nowhere and for what pages may not load.
pub fn finish(book: &MDBook, folder: &Path, facts: &BTreeMap<String, PageFacts>) -> Result<()> {
    let mut files = files_below(folder)?;
    let outlines = complete_pages(book, folder, facts, &files)?;
    check_links(book, facts, &outlines, &files)?;
    let links = Links {
        outlines: &outlines,
        files: &files,
    };
    let used = links.targets();
    files.retain(|file| {
        !used.contains(file) && !outlines.contains_key(file) && !is_for_the_host(file)
    });
    for unused in files {
        fs::remove_file(folder.join(unused))?;
    }
    remove_empty_folders(folder)
}

fn complete_pages(
    book: &MDBook,
    folder: &Path,
    facts: &BTreeMap<String, PageFacts>,
    files: &BTreeSet<String>,
) -> Result<BTreeMap<String, Outline>> {
    let html = book.config.html_config().unwrap_or_default();
    let site = html.site_url.filter(|url| url.starts_with("https://"));
    let mut outlines = BTreeMap::new();
    for address in files.iter().filter(|file| is_page(file)) {
        let file = folder.join(address);
        let rendered = fs::read_to_string(&file)?;
        let outline = page::outline(&rendered)?;
        if let Some(facts) = facts.get(first_of(address, facts)) {
            let site = site.as_deref();
            let place = Place {
                address,
                site,
                facts,
            };
            fs::write(&file, page::complete(&rendered, &outline, &place)?)?;
        }
        outlines.insert(address.clone(), outline);
    }
    Ok(outlines)
}

fn check_links(
    book: &MDBook,
    facts: &BTreeMap<String, PageFacts>,
    outlines: &BTreeMap<String, Outline>,
    files: &BTreeSet<String>,
) -> Result<()> {
    let links = Links { outlines, files };
    let mut problems = Vec::new();
    for (address, outline) in outlines {
        let file = match facts.get(first_of(address, facts)) {
            Some(facts) => book.config.book.src.join(&facts.source),
            None => PathBuf::from("book.toml"),
        };
        let text = fs::read_to_string(book.root.join(&file)).unwrap_or_default();
        let origin = Origin {
            file: &file,
            text: &text,
        };
        problems.extend(links.check(address, outline, &origin));
    }
    Ok(Problems::check(problems)?)
}

/// mdBook writes the first chapter to `index.html` as well.
fn first_of<'a>(address: &'a str, facts: &'a BTreeMap<String, PageFacts>) -> &'a str {
    match facts.contains_key(address) {
        false if address == "index.html" => {
            let first = facts.iter().find(|(_, facts)| facts.is_first);
            first.map_or(address, |(first, _)| first)
        }
        _ => address,
    }
}

/// mdBook's own table of contents is no page of ours.
fn is_page(file: &str) -> bool {
    file.ends_with(".html") && file != "toc.html"
}

/// Files that a host reads and no page links to.
fn is_for_the_host(file: &str) -> bool {
    matches!(file, ".nojekyll" | "CNAME")
}

fn files_below(folder: &Path) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for entry in fs::read_dir(&current)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                files.insert(relative.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    Ok(files)
}

fn remove_empty_folders(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_empty_folders(&path)?;
            if fs::read_dir(&path)?.next().is_none() {
                fs::remove_dir(&path)?;
            }
        }
    }
    Ok(())
}
