//! A page: its file read once, its Markdown read once.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use mdbook_driver::book::Chapter;
use pulldown_cmark::Options;

use super::{
    address::Address,
    directive::{self, OURS, What},
    include::Source,
    matrix::Matrix,
    program::System,
    section::{self, Reading},
    sim::Sim,
};
use crate::text::problem::{Complaint, Problem};

/// A chapter that has a file.
pub struct Page {
    /// Its file, relative to the folder of the chapters: `kafka/produce.md`.
    pub source: PathBuf,
    /// Its address in the site.
    pub address: Address,
    /// Its name in the navigation.
    pub name: String,
    /// The title of the part it stands in.
    pub part: Option<String>,
    /// Whether it is the first of the book, which the site shows as `index.html` as well.
    pub is_first: bool,
    /// Its first two lines; nothing when they are none.
    pub head: Option<Head>,
    /// The text of its file, with what it includes.
    pub text: Source,
    /// What its Markdown says.
    pub reading: Reading,
    /// What is wrong with its text.
    pub problems: Vec<Problem>,
    /// The ids of the claims that it makes.
    pub claims: BTreeSet<String>,
    /// The names of the programs that it shows.
    pub programs: BTreeSet<String>,
    /// The table that it shows, if it shows one.
    pub matrix: Option<Matrix>,
}

/// The first two lines of a page, or three.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The title, as Markdown.
    pub title: String,
    /// One sentence that says what the page is about, as Markdown.
    pub description: String,
    /// What readers type into the search for it, of the line `<!-- keywords: a, b -->`; mostly nothing.
    pub keywords: String,
}

impl Page {
    /// Reads a chapter of the book in `folder`, which is called `shown` in messages.
    pub fn read(folder: &Path, shown: &Path, chapter: &Chapter, dialect: Options) -> Option<Self> {
        let source = chapter.source_path.clone()?;
        let file = shown.join(&source);
        let beside = folder.join(&source);
        let beside = beside.parent().unwrap_or(folder);
        let (text, mut problems) = Source::read(chapter.content.clone(), beside, &file);
        problems.extend(unclosed(&text, &file));
        let (head, from) = match head(&text) {
            Ok((head, from)) => (Some(head), from),
            Err((line, complaint)) => {
                problems.push(complaint.at(&file, line));
                (None, 0)
            }
        };
        if head.is_some() {
            problems.extend(in_the_head(&text, from, &file));
        }
        let reading = section::read(&text, from, dialect);
        let misplaced = reading.misplaced.iter().cloned();
        problems.extend(misplaced.map(|(line, complaint)| complaint.at(&file, line)));
        let mut page = Self {
            address: Address::of_page(&source),
            source,
            name: chapter.name.clone(),
            part: None,
            is_first: false,
            head,
            text,
            reading,
            problems,
            claims: BTreeSet::new(),
            programs: BTreeSet::new(),
            matrix: None,
        };
        page.survey(folder);
        Some(page)
    }

    /// Notes which claims and programs its directives name.
    fn survey(&mut self, folder: &Path) {
        for directive in self.reading.body.directives() {
            match &directive.what {
                What::Ev(id) => {
                    self.claims.insert(id.clone());
                }
                What::Proof { name, .. } => {
                    self.programs.insert(name.clone());
                }
                // What is wrong with a part is said where it is expanded.
                What::Sim { name, start } => {
                    let sim = Sim::find(folder, name, start).ok();
                    self.claims
                        .extend(sim.into_iter().flat_map(|sim| sim.claims()));
                }
                _ => {}
            }
        }
    }

    /// Reads the table that it shows, if it shows one.
    ///
    /// # Errors
    /// What is wrong with the file of the table.
    pub fn read_matrix(&mut self, root: &Path, shown: &Path) -> Result<(), Problem> {
        let mut directives = self.reading.body.directives().into_iter();
        if directives.any(|d| d.what == What::Matrix) {
            let file = shown.join(&self.source).with_extension("toml");
            let matrix = Matrix::load(root, &file)?;
            let statements = matrix.statements();
            self.claims
                .extend(statements.map(|s| s.ev.get_ref().clone()));
            self.matrix = Some(matrix);
        }
        Ok(())
    }

    /// The page's sentence for search engines; empty when it lacks one.
    pub fn description(&self) -> &str {
        self.head.as_ref().map_or("", |head| &head.description)
    }

    /// What readers type into the search for it.
    pub fn keywords(&self) -> &str {
        self.head.as_ref().map_or("", |head| &head.keywords)
    }

    /// Whether it lists the claims of a part.
    pub fn lists(&self, part: &str) -> bool {
        let mut directives = self.reading.body.directives().into_iter();
        directives.any(|d| matches!(&d.what, What::Ledger(Some(name)) if name == part))
    }

    /// The address of another page, seen from this one.
    pub fn link_to(&self, other: &Page) -> String {
        format!("{}{}", self.address.to_root(), other.address)
    }

    /// The system that the page is about, from its folder.
    pub fn system(&self) -> Option<System> {
        System::from_name(self.source.iter().next()?.to_str()?)
    }
}

/// Splits the title and the description from a page; returns where the rest begins.
fn head(source: &Source) -> Result<(Head, usize), (usize, Complaint)> {
    let text = source.text.as_str();
    let first = text.split_inclusive('\n').next().unwrap_or_default();
    let title = first.strip_prefix("# ").map(str::trim);
    let title = title
        .filter(|title| !title.is_empty())
        .ok_or((1, "no title; write `# Title` on line 1".into()))?;
    let rest = &text[first.len()..];
    let second = rest.split_inclusive('\n').next().unwrap_or_default();
    let description = second
        .trim()
        .strip_prefix("<!-- description:")
        .and_then(|text| text.strip_suffix("-->"))
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let description = description.ok_or_else(|| {
        let message = "no description; write <!-- description: one sentence --> on line 2";
        (2, message.into())
    })?;
    let third = rest[second.len()..]
        .split_inclusive('\n')
        .next()
        .unwrap_or_default();
    let keywords = third.trim().strip_prefix("<!-- keywords:");
    let keywords = keywords.and_then(|text| text.strip_suffix("-->"));
    let head = Head {
        title: title.to_owned(),
        description: description.to_owned(),
        keywords: keywords.unwrap_or_default().trim().to_owned(),
    };
    let length = first.len() + second.len() + keywords.map_or(0, |_| third.len());
    Ok((head, length))
}

/// Directives in the first two lines.
fn in_the_head(source: &Source, from: usize, file: &Path) -> Vec<Problem> {
    let head = &source.text[..from];
    let tokens = directive::outermost(head).filter(|token| !source.is_literal(token.range.start));
    let ours = tokens.filter(|token| OURS.contains(&token.name.as_str()));
    let problem = |token: directive::Token| {
        let line = source.line_at(token.range.start);
        let complaint = match (line, token.name.as_str()) {
            (1, "ev") => section::without_sentence(),
            (1, name) => section::in_a_title(name),
            (_, name) => section::in_code(name),
        };
        complaint.at(file, line)
    };
    ours.map(problem).collect()
}

fn unclosed(source: &Source, file: &Path) -> Vec<Problem> {
    let open = directive::unclosed(&source.text).filter(|start| !source.is_literal(*start));
    let message =
        "a directive is not closed; end it with `}}`, or write \\{{# if it is meant as text";
    open.map(|start| Problem::new(file, source.line_at(start), message))
        .collect()
}
