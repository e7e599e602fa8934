//! After mdBook: the pass over the pages, the check of their links, and the removal of what mdBook
//! writes and no page uses.

pub mod complaints;
pub mod host_files;
mod links;
mod modules;
pub mod navigation;
mod page;
pub mod search;
mod styles;
pub mod twins;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use mdbook_driver::config::Config;
use rayon::prelude::*;

pub use page::Outline;

use crate::{
    model::{address::Address, book::Book, options::Options, page::Page, settings},
    text::{memo::Memo, problem::Problems},
};
use links::Links;
use navigation::Navigation;
use page::Place;

/// A site that mdBook has rendered.
pub struct Site<'a> {
    /// The book that it was made from.
    pub book: &'a Book,
    /// The settings of `book.toml`.
    pub config: &'a Config,
    /// Where it lies.
    pub folder: &'a Path,
    /// What stands at the end of each page, in the order of the book: when its programs ran.
    pub versions: &'a [String],
    /// What is known of pages that were rendered before.
    pub outlines: &'a Memo<Arc<Outline>>,
    /// What the search takes of pages that were rendered before.
    pub searched: &'a Memo<Arc<guide_search::Content>>,
}

/// What stands on each page, by its address.
type Outlines = BTreeMap<Address, Arc<Outline>>;

impl Site<'_> {
    /// Completes the rendered pages, checks their links and removes what no page uses.
    ///
    /// # Errors
    /// [`Problems`] for links that lead nowhere and for what pages may not load.
    pub fn finish(&self, options: &Options) -> Result<()> {
        let mut files = files_below(self.folder)?;
        let modules = modules::rename(self.folder, &mut files)?;
        let (outlines, index) = self.complete_pages(&files, &modules, options)?;
        let links = Links {
            outlines: &outlines,
            files: &files,
        };
        self.check_links(&links)?;
        let mut used = links.targets();
        for (plain, renamed) in &modules {
            used.remove(plain);
            used.insert(renamed.clone());
        }
        self.add_what_styles_load(&files, &mut used)?;
        files.retain(|file| {
            !used.contains(file) && !outlines.contains_key(file) && !is_for_the_host(file)
        });
        for unused in files {
            let file = self.folder.join(&unused);
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        remove_empty_folders(self.folder)?;
        search::write(index, self.folder)?;
        let pages = self.book.pages.iter().map(|page| &page.address);
        host_files::write(self.folder, pages, self.config)
    }

    fn complete_pages(
        &self,
        files: &BTreeSet<Address>,
        modules: &modules::Names,
        options: &Options,
    ) -> Result<(Outlines, Vec<guide_search::Page>)> {
        let site = settings::site(self.config);
        let navigation = Navigation::of(self.book);
        let complete = |address: &Address| {
            let file = self.folder.join(address);
            let rendered = read(&file)?;
            let outline = self.outlines.try_get_or(&rendered, || {
                anyhow::Ok(Arc::new(page::read_outline(&rendered)?))
            })?;
            let mut found = None;
            if let Some(number) = self.page_number(address) {
                let page = &self.book.pages[number];
                let place = Place {
                    address,
                    page,
                    versions: &self.versions[number],
                    navigation: &navigation,
                    has_editions: options.editions,
                    live: options.live.as_deref(),
                    site: site.as_deref(),
                    modules,
                };
                if *address == page.address {
                    found = Some(search::read(page, &rendered, self.searched)?);
                }
                write(&file, &page::complete(&rendered, &outline, &place)?)?;
            } else if let Some(site) = &site
                && outline.is_redirect
            {
                write(&file, &page::complete_redirect(&rendered, site, address)?)?;
            }
            Ok((address.clone(), outline, found))
        };
        let pages: Vec<&Address> = files.iter().filter(|file| self.is_page(file)).collect();
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

    /// The number of the page at an address. mdBook writes the first page to `index.html` as well.
    fn page_number(&self, address: &Address) -> Option<usize> {
        let pages = &self.book.pages;
        let found = pages.iter().position(|page| page.address == *address);
        found.or_else(|| (address.as_str() == "index.html" && !pages.is_empty()).then_some(0))
    }

    /// The page at an address.
    fn page_at(&self, address: &Address) -> Option<&Page> {
        Some(&self.book.pages[self.page_number(address)?])
    }

    /// mdBook's own table of contents is no page of ours.
    fn is_page(&self, file: &Address) -> bool {
        file.is_page() && (file.as_str() != "toc.html" || self.page_at(file).is_some())
    }

    fn check_links(&self, links: &Links<'_>) -> Result<()> {
        let mut problems = Vec::new();
        for (address, outline) in links.outlines {
            problems.extend(match self.page_at(address) {
                Some(page) => links.check(outline, address, &self.book.file(page), page),
                None => links.check_redirect(address, outline, &self.book.root),
            });
        }
        Ok(Problems::check(problems)?)
    }

    /// Adds what the style sheets among the used files load, other style sheets included.
    fn add_what_styles_load(
        &self,
        files: &BTreeSet<Address>,
        used: &mut BTreeSet<Address>,
    ) -> Result<()> {
        let is_style = |file: &Address| file.as_str().ends_with(".css") && files.contains(file);
        let mut open: Vec<Address> = used.iter().filter(|file| is_style(file)).cloned().collect();
        let mut problems = Vec::new();
        while let Some(sheet) = open.pop() {
            let text = read(&self.folder.join(&sheet))?;
            for (line, target) in styles::loads(&text) {
                match links::loaded(&sheet, &target, files) {
                    Ok(file) if used.insert(file.clone()) && is_style(&file) => open.push(file),
                    Ok(_) => {}
                    Err(complaint) => problems.push(complaint.at(self.source_of(&sheet), line)),
                }
            }
        }
        Ok(Problems::check(problems)?)
    }

    /// The file that a file of the site was copied from: mdBook puts a hash into some names, and copies
    /// some from the project's root and some from the folder of the chapters.
    fn source_of(&self, address: &Address) -> PathBuf {
        let address = address.as_str();
        let stem = address.rsplit_once('.').map_or(address, |(stem, _)| stem);
        let hash = stem.rsplit_once('-').filter(|(_, hash)| hash.len() == 8);
        let plain = match hash {
            Some((before, _)) => format!("{before}{}", &address[stem.len()..]),
            None => address.to_owned(),
        };
        match self.book.root.join(&plain).is_file() {
            true => PathBuf::from(plain),
            false => self.book.source.join(address),
        }
    }
}

/// Files that a host reads and no page links to.
fn is_for_the_host(file: &Address) -> bool {
    matches!(file.as_str(), ".nojekyll" | "CNAME")
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

fn files_below(folder: &Path) -> Result<BTreeSet<Address>> {
    let mut files = BTreeSet::new();
    let mut open = vec![folder.to_owned()];
    while let Some(current) = open.pop() {
        for path in files_in(&current)? {
            if path.is_dir() {
                open.push(path);
            } else if let Ok(relative) = path.strip_prefix(folder) {
                files.insert(Address::of(relative));
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
