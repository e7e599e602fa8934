//! After mdBook: the pass over the pages, the check of their links, and the removal of what mdBook
//! writes and no page uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use mdbook_driver::MDBook;
use rayon::prelude::*;

use crate::{
    build::Options,
    errors::{Problem, Problems},
    host_files,
    links::{self, Links, Origin},
    modules,
    navigation::Navigation,
    page::{self, Outline, Place},
    preprocess::PageFacts,
    search,
    settings, styles,
};

/// Completes the rendered pages in `folder`, checks their links and removes what no page uses.
///
/// # Errors
/// [`Problems`] for links that lead nowhere and for what pages may not load.
pub fn finish(
    book: &MDBook,
    folder: &Path,
    facts: &BTreeMap<String, PageFacts>,
    options: &Options,
) -> Result<()> {
    let mut files = files_below(folder)?;
    let modules = modules::rename(folder, &mut files)?;
    let (outlines, index) = complete_pages(book, folder, facts, &files, &modules, options)?;
    check_links(book, facts, &outlines, &files)?;
    let links = Links {
        outlines: &outlines,
        files: &files,
    };
    let mut used = links.targets();
    for (plain, renamed) in &modules {
        used.remove(plain);
        used.insert(renamed.clone());
    }
    add_what_styles_load(book, folder, &files, &mut used)?;
    files.retain(|file| {
        !used.contains(file) && !outlines.contains_key(file) && !is_for_the_host(file)
    });
    for unused in files {
        let file = folder.join(unused);
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    remove_empty_folders(folder)?;
    search::write(index, folder)?;
    let site = settings::site(&book.config);
    host_files::write(folder, facts.keys(), site.as_deref())
}

fn complete_pages(
    book: &MDBook,
    folder: &Path,
    facts: &BTreeMap<String, PageFacts>,
    files: &BTreeSet<String>,
    modules: &modules::Names,
    options: &Options,
) -> Result<(BTreeMap<String, Arc<Outline>>, Vec<search::Page>)> {
    let site = settings::site(&book.config);
    let navigation = Navigation::of(&book.book);
    let complete = |address: &String| {
        let file = folder.join(address);
        let rendered = read(&file)?;
        let outline = page::outline(&rendered)?;
        let page = first_of(address, facts);
        let mut found = None;
        if let Some(facts) = facts.get(page) {
            let place = Place {
                address,
                page,
                navigation: &navigation,
                has_editions: options.editions,
                live: options.live.as_deref(),
                site: site.as_deref(),
                facts,
                modules,
            };
            if address == page {
                let part = navigation.names(page).1.unwrap_or_default();
                found = Some(search::read(address, part, facts, &rendered)?);
            }
            write(&file, &page::complete(&rendered, &outline, &place)?)?;
        } else if let Some(site) = &site
            && outline.is_redirect
        {
            write(&file, &page::complete_redirect(&rendered, site, address)?)?;
        }
        Ok((address.clone(), outline, found))
    };
    let pages: Vec<&String> = files.iter().filter(|file| is_page(file)).collect();
    let completed: Result<Vec<_>> = pages.into_par_iter().map(complete).collect();
    let mut index = Vec::new();
    let mut outlines = BTreeMap::new();
    for (address, outline, found) in completed? {
        outlines.insert(address, outline);
        if let Some(page) = found {
            index.push(page);
        }
    }
    Ok((outlines, index))
}

fn check_links(
    book: &MDBook,
    facts: &BTreeMap<String, PageFacts>,
    outlines: &BTreeMap<String, Arc<Outline>>,
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

/// Adds what the style sheets among the used files load, other style sheets included.
fn add_what_styles_load(
    book: &MDBook,
    folder: &Path,
    files: &BTreeSet<String>,
    used: &mut BTreeSet<String>,
) -> Result<()> {
    let is_style = |file: &String| file.ends_with(".css") && files.contains(file);
    let mut open: Vec<String> = used.iter().filter(|file| is_style(file)).cloned().collect();
    let mut problems = Vec::new();
    while let Some(sheet) = open.pop() {
        let text = read(&folder.join(&sheet))?;
        for (line, target) in styles::loads(&text) {
            match links::loaded(&sheet, &target, files) {
                Ok(file) if used.insert(file.clone()) && is_style(&file) => open.push(file),
                Ok(_) => {}
                Err(message) => problems.push(Problem::new(source_of(book, &sheet), line, message)),
            }
        }
    }
    Ok(Problems::check(problems)?)
}

/// The file that a file of the site was copied from: mdBook puts a hash into some names, and copies
/// some from the project's root and some from the folder of the chapters.
fn source_of(book: &MDBook, address: &str) -> PathBuf {
    let stem = address.rsplit_once('.').map_or(address, |(stem, _)| stem);
    let hash = stem.rsplit_once('-').filter(|(_, hash)| hash.len() == 8);
    let plain = match hash {
        Some((before, _)) => format!("{before}{}", &address[stem.len()..]),
        None => address.to_owned(),
    };
    match book.root.join(&plain).is_file() {
        true => PathBuf::from(plain),
        false => book.config.book.src.join(address),
    }
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = || {
        let entries = fs::read_dir(folder)?;
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<_>>()
    };
    list().with_context(|| format!("cannot list {}", folder.display()))
}

fn files_below(folder: &Path) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for path in files_in(&current)? {
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
    for path in files_in(folder)?.into_iter().filter(|path| path.is_dir()) {
        remove_empty_folders(&path)?;
        if files_in(&path)?.is_empty() {
            fs::remove_dir(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
