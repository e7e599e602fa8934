//! The book as a whole: its pages, its claims, and which page uses what.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::Result;
use jiff::civil;
use mdbook_driver::{
    book::{Book, BookItem, Chapter},
    config::Config,
};
use toml::value::Date;

use crate::{
    cargo_add::Dependencies,
    errors::{Problem, Problems, line_at},
    examples::{Record, System},
    ledger::{Claim, Ledger, Part, Run},
    matrix::Matrix,
    preprocess::{
        scan::{self, Scan},
        sim::Sim,
    },
    runs::Runs,
    settings,
};

/// The book as a whole.
pub struct Site {
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
    /// The runs that claims rest on.
    pub runs: Runs,
}

/// A chapter that has a file.
pub struct Page {
    /// Its file, relative to the folder of the chapters: `kafka/produce.md`.
    pub source: PathBuf,
    /// Its name in the navigation.
    pub name: String,
    /// The title of the part it stands in.
    pub part: Option<String>,
    /// The text of the file.
    pub text: String,
    /// Its directives.
    pub scan: Scan,
    /// The ids of the claims that it makes.
    claims: BTreeSet<String>,
    /// The table that it shows, if it shows one.
    pub matrix: Option<Matrix>,
    /// The names of the programs that it shows.
    pub programs: BTreeSet<String>,
}

impl Site {
    /// Surveys the pages of a book as they were read, and reads its ledger.
    ///
    /// # Errors
    /// When the workspace's manifest, a file of the ledger or a matrix cannot be read.
    pub fn survey(root: &Path, config: &Config, book: &Book, today: civil::Date) -> Result<Self> {
        let folder = root.join(&config.book.src);
        let ledger = Ledger::load(root, &folder)?;
        let mut pages = pages(&folder, book);
        for page in &mut pages {
            page.read_matrix(root, &config.book.src)
                .map_err(Problems::from)?;
        }
        Ok(Self {
            root: root.to_owned(),
            source: config.book.src.clone(),
            pages,
            runs: Runs::read(root, &ledger),
            today,
            ledger,
            dependencies: Dependencies::load(root)?,
            repository: settings::repository(config),
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
        let lists = |page: &&Page| {
            let mut directives = page.scan.directives.iter();
            directives.any(|d| d.name == "ledger" && d.arguments == part)
        };
        self.pages.iter().find(lists)
    }

    /// The records of the runs that a claim rests on.
    pub fn records_of<'a>(&'a self, claim: &'a Claim) -> impl Iterator<Item = &'a Record> {
        let runs = claim.runs.iter().filter_map(Run::recorded);
        runs.filter_map(|name| self.runs.record(name))
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

impl Page {
    fn read_matrix(&mut self, root: &Path, source: &Path) -> Result<(), Problem> {
        if self.scan.directives.iter().any(|d| d.name == "matrix") {
            let file = source.join(&self.source).with_extension("toml");
            let matrix = Matrix::load(root, &file)?;
            let statements = matrix.statements();
            self.claims
                .extend(statements.map(|s| s.ev.get_ref().clone()));
            self.matrix = Some(matrix);
        }
        Ok(())
    }

    /// Its address relative to the site's root: `kafka/produce.html`.
    pub fn address(&self) -> String {
        let path = self.source.with_extension("html");
        path.to_string_lossy().replace('\\', "/")
    }

    /// The way from this page to the site's root: `../`, or nothing.
    pub fn to_root(&self) -> String {
        "../".repeat(self.source.components().count().saturating_sub(1))
    }

    /// The address of another page, seen from this one.
    pub fn link_to(&self, other: &Page) -> String {
        format!("{}{}", self.to_root(), other.address())
    }

    /// The system that the page is about, from its folder.
    pub fn system(&self) -> Option<System> {
        System::from_name(self.source.iter().next()?.to_str()?)
    }

    /// The line of a byte of the page's file.
    pub fn line_at(&self, offset: usize) -> usize {
        line_at(&self.text, offset)
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

fn pages(folder: &Path, book: &Book) -> Vec<Page> {
    let mut part = None;
    let mut pages = Vec::new();
    for item in book.iter() {
        match item {
            BookItem::PartTitle(title) => part = Some(title.clone()),
            BookItem::Chapter(chapter) => pages.extend(page(folder, part.clone(), chapter)),
            _ => {}
        }
    }
    pages
}

fn page(folder: &Path, part: Option<String>, chapter: &Chapter) -> Option<Page> {
    let source = chapter.source_path.clone()?;
    let text = chapter.content.clone();
    let scan = scan::scan(&text);
    let arguments = |name| {
        let directives = scan.directives.iter().filter(move |d| d.name == name);
        directives.map(|directive| directive.arguments.clone())
    };
    let program = |panel: String| panel.split(':').next().map(|name| name.trim().to_owned());
    // What is wrong with a part is said where it is expanded.
    let sims = arguments("sim").filter_map(|sim| Sim::find(folder, &sim).ok());
    let claims = sims.flat_map(|sim| sim.claims()).collect::<Vec<_>>();
    Some(Page {
        claims: arguments("ev").chain(claims).collect(),
        programs: arguments("proof").filter_map(program).collect(),
        matrix: None,
        source,
        name: chapter.name.clone(),
        part,
        text,
        scan,
    })
}
