//! The book as a whole: its pages, its claims, and which page uses what.

use std::path::{Path, PathBuf};

use anyhow::Result;
use jiff::civil;
use mdbook_driver::{
    book::{self, BookItem},
    config::Config,
};
use rayon::prelude::*;
use toml::value::Date;

use super::{
    cargo_add::Dependencies,
    ledger::{Claim, Ledger, Part, Run},
    page::Page,
    program::Programs,
    record::Record,
    settings,
};
use crate::text::{
    grammar::Grammar,
    problem::{Problem, Problems},
};

/// The book as a whole.
pub struct Book {
    /// The root of the project.
    pub root: PathBuf,
    /// The folder of the chapters, relative to the root: `book`.
    pub source: PathBuf,
    /// The pages in the order of the summary.
    pub pages: Vec<Page>,
    /// The claims.
    pub ledger: Ledger,
    /// The crates that programs may use.
    pub dependencies: Dependencies,
    /// The address of the repository, when it is set.
    pub repository: Option<String>,
    /// The day that counts as today.
    pub today: civil::Date,
    /// What readers run, and what each printed.
    pub programs: Programs,
    /// What the letters of a listing are.
    pub grammar: Grammar,
}

impl Book {
    /// Surveys the pages of a book as they were read, and reads its ledger and its programs.
    ///
    /// # Errors
    /// When the workspace's manifest, a file of the ledger or a matrix cannot be read.
    pub fn survey(
        root: &Path,
        config: &Config,
        book: &book::Book,
        today: civil::Date,
        grammar: Grammar,
    ) -> Result<Self> {
        let source = config.book.src.clone();
        let folder = root.join(&source);
        let ledger = Ledger::load(root, &folder)?;
        let mut pages = pages(&folder, config, book);
        for page in &mut pages {
            page.read_matrix(root, &source).map_err(Problems::from)?;
        }
        Ok(Self {
            root: root.to_owned(),
            source,
            pages,
            programs: Programs::load(root),
            today,
            ledger,
            dependencies: Dependencies::load(root)?.with(grammar.clone()),
            repository: settings::repository(config),
            grammar,
        })
    }

    /// The file of a page, relative to the root.
    pub fn file(&self, page: &Page) -> PathBuf {
        self.source.join(&page.source)
    }

    /// A page with the panel of a program: `from` itself, or the first about a system, or the first.
    pub fn page_that_shows<'a>(&'a self, program: &str, from: &'a Page) -> Option<&'a Page> {
        let shows = |page: &&Page| page.programs.contains(program);
        let about_a_system = |page: &&Page| shows(page) && page.system().is_some();
        let mut pages = self.pages.iter();
        Some(from)
            .filter(shows)
            .or_else(|| pages.clone().find(about_a_system))
            .or_else(|| pages.find(shows))
    }

    /// The page that lists the claims of a part.
    pub fn page_that_lists(&self, part: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.lists(part))
    }

    /// The records of the runs that a claim rests on.
    pub fn records_of<'a>(&'a self, claim: &'a Claim) -> impl Iterator<Item = &'a Record> {
        let runs = claim.runs.iter().filter_map(Run::recorded);
        runs.filter_map(|name| self.programs.record(name))
    }

    /// The day on which a claim was last seen to be true: the newest of its runs and sources. A test
    /// has no day.
    pub fn checked(&self, claim: &Claim) -> Option<Date> {
        let runs = self
            .records_of(claim)
            .filter_map(|record| record.day().ok());
        let sources = claim.sources.iter().filter_map(|source| source.read.date);
        let days = runs.chain(sources);
        days.max_by_key(|day| (day.year, day.month, day.day))
    }

    /// The pages that use a claim.
    pub fn pages_that_use<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Page> {
        self.pages
            .iter()
            .filter(move |page| page.claims.contains(id))
    }

    /// The parts of the ledger in the order of the book, then those without pages of their own.
    pub fn parts(&self) -> Vec<&Part> {
        let first_page = |part: &&Part| {
            let mut pages = self.pages.iter();
            let found = pages.position(|page| page.source.starts_with(&part.name));
            found.unwrap_or(usize::MAX)
        };
        let mut parts: Vec<_> = self.ledger.parts().iter().collect();
        parts.sort_by_key(first_page);
        parts
    }

    /// The title of the part that an evidence file is about: that of the pages in the folder of
    /// the same name, or else the name itself.
    pub fn part_title(&self, name: &str) -> String {
        let mut pages = self
            .pages
            .iter()
            .filter(|page| page.source.starts_with(name));
        let title = pages.find_map(|page| page.part.clone());
        title.unwrap_or_else(|| capitalised(name))
    }

    /// The claims that no page uses.
    pub fn unused_claims(&self) -> Vec<Problem> {
        let claims = self.ledger.claims();
        let unused = claims.filter(|claim| self.pages_that_use(&claim.id).next().is_none());
        let problem = |claim: &Claim| {
            let id = &claim.id;
            let message = format!("no page uses `{id}`; add {{{{#ev {id}}}}} or remove the claim");
            Problem::new(&claim.file, claim.line, message)
        };
        unused.map(problem).collect()
    }
}

/// `Patterns`, `Kafka clients`, `AWS`: what has three letters is an abbreviation.
fn capitalised(name: &str) -> String {
    let capitals = if name.len() <= 3 { name.len() } else { 1 };
    match name.split_at_checked(capitals) {
        Some((first, rest)) => first.to_uppercase() + &rest.replace('-', " "),
        None => name.to_owned(),
    }
}

/// The pages in the order of the summary, each with the title of its part.
fn pages(folder: &Path, config: &Config, book: &book::Book) -> Vec<Page> {
    let mut part = None;
    let mut chapters = Vec::new();
    for item in book.iter() {
        match item {
            BookItem::PartTitle(title) => part = Some(title.clone()),
            BookItem::Chapter(chapter) => chapters.push((chapter, part.clone())),
            BookItem::Separator => {}
        }
    }
    let (shown, dialect) = (&config.book.src, settings::dialect(config));
    let read = |(chapter, part)| {
        let page = Page::read(folder, shown, chapter, dialect)?;
        Some(Page { part, ..page })
    };
    let pages = chapters.into_par_iter().filter_map(read);
    let mut pages: Vec<Page> = pages.collect();
    if let Some(first) = pages.first_mut() {
        first.is_first = true;
    }
    pages
}
