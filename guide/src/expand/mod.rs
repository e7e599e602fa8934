//! Expands the pages of a book: callouts, listings, panels, marks and drawings, for HTML as markup and for any
//! other renderer as ordinary Markdown.

mod callout;
mod drawing;
mod errors;
mod evidence;
mod experiment;
mod head;
mod ledger;
mod listing;
mod matrix;
mod proof;
mod sim;

use std::{collections::BTreeMap, ops::Range};

use mdbook_driver::config::Config;
use rayon::prelude::*;

pub use head::id_of as heading_id;

use crate::{
    model::{
        address::Address,
        book::Book,
        directive::{Directive, Figure, What},
        ledger::Claim,
        page::Page,
        record::{self, Record},
        section::{Callout, Item, Section},
        sim::{Sim, differences},
    },
    text::{
        markup,
        problem::{Complaint, Problem},
    },
};

/// What a page is expanded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Markup inside Markdown.
    Html,
    /// Markdown alone.
    Markdown,
}

/// What became of a page.
#[derive(Debug, Default)]
pub struct Expanded {
    /// Its Markdown; empty when it could not be read.
    pub text: String,
    /// When and with what its programs last ran; empty without programs.
    pub versions: String,
    /// Files with data of the page.
    pub data: BTreeMap<Address, String>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// What the pages of a book are expanded with.
pub struct Expander<'a> {
    book: &'a Book,
    config: &'a Config,
    /// What hides a line of a language, from `book.toml`.
    hidden: std::collections::HashMap<String, String>,
}

impl<'a> Expander<'a> {
    /// The pages of a book, with the settings of `book.toml`.
    pub fn new(book: &'a Book, config: &'a Config) -> Self {
        let html = config.html_config().unwrap_or_default();
        Self {
            book,
            config,
            hidden: html.code.hidelines,
        }
    }

    /// Every page in the order of the book.
    pub fn pages(&self, format: Format) -> Vec<Expanded> {
        let pages = self.book.pages.par_iter();
        pages.map(|page| self.page(page, format)).collect()
    }

    fn page(&self, page: &Page, format: Format) -> Expanded {
        let mut content = PageContent::new(self, page, format);
        let text = content.page().unwrap_or_default();
        content.problems.extend(page.problems.iter().cloned());
        Expanded {
            text,
            versions: versions(&content.shown),
            data: content.data,
            problems: content.problems,
        }
    }
}

/// A page while it is expanded.
struct PageContent<'a> {
    expander: &'a Expander<'a>,
    book: &'a Book,
    page: &'a Page,
    format: Format,
    /// What stands around the content of each callout.
    frames: Vec<callout::Frame>,
    /// The claims in the order of their first marks.
    claims: Vec<&'a Claim>,
    /// The programs of the panels so far.
    panels: Vec<String>,
    /// The records of those panels.
    shown: Vec<Record>,
    /// The drawings so far.
    drawings: Vec<String>,
    data: BTreeMap<Address, String>,
    problems: Vec<Problem>,
}

impl<'a> PageContent<'a> {
    fn new(expander: &'a Expander<'a>, page: &'a Page, format: Format) -> Self {
        Self {
            expander,
            book: expander.book,
            page,
            format,
            frames: Vec::new(),
            claims: Vec::new(),
            panels: Vec::new(),
            shown: Vec::new(),
            drawings: Vec::new(),
            data: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// The records of every run that the page shows or rests on.
    fn records(&self) -> Vec<&Record> {
        let claims = self.claims.iter();
        let claimed = claims.flat_map(|claim| self.book.records_of(claim));
        self.shown.iter().chain(claimed).collect()
    }

    fn page(&mut self) -> Option<String> {
        let page = self.page;
        let opening = page.head.as_ref()?;
        if self.format == Format::Html {
            match callout::frames(self.expander.config, &page.reading.body.callouts()) {
                Ok(frames) => self.frames = frames,
                Err((line, complaint)) => {
                    self.problem_at(line, complaint);
                    return None;
                }
            }
        }
        let mut body = String::with_capacity(page.text.text.len() * 2);
        self.section(&mut body, &page.reading.body);
        let sources = evidence::sources(self.book, page, &self.claims, self.format);
        let head = match self.format {
            Format::Html => head::html(self, opening),
            Format::Markdown => format!("# {}\n\n{}", opening.title, opening.description),
        };
        Some(format!("{head}\n\n{body}{sources}"))
    }

    /// Appends a section with its items expanded.
    fn section(&mut self, text: &mut String, section: &'a Section) {
        let mut copied = 0;
        for item in &section.items {
            let range = item.range();
            text.push_str(&section.text[copied..range.start]);
            copied = range.end;
            match item {
                Item::Directive(directive) => self.directive(text, &section.text, directive),
                Item::Callout(callout) => self.callout(text, callout),
                Item::Listing(listing) => match self.format {
                    Format::Html => {
                        let hidden = |language: &str| self.expander.hidden.get(language).cloned();
                        let grammar = &self.book.grammar;
                        text.push_str(&listing::fenced(grammar, listing, hidden));
                    }
                    Format::Markdown => text.push_str(&section.text[range.clone()]),
                },
            }
        }
        text.push_str(&section.text[copied..]);
    }

    /// Appends a callout: its frame with its content, or its title and its content.
    fn callout(&mut self, text: &mut String, callout: &'a Callout) {
        let mut content = String::new();
        self.section(&mut content, &callout.section);
        let framed = match self.format {
            Format::Html => self.frames[callout.number].around(&content),
            Format::Markdown => format!("**{}**\n\n{}", callout.title, content.trim_end()),
        };
        text.push_str(&within(&framed, &callout.margin));
    }

    /// Appends what a directive stands for, or notes what is wrong with it.
    fn directive(&mut self, text: &mut String, around: &str, directive: &'a Directive) {
        let alone = stands_alone(around, &directive.range);
        if let Err(complaint) = self.try_directive(text, around, directive, alone) {
            self.problem_at(directive.line, complaint);
        }
    }

    fn try_directive(
        &mut self,
        text: &mut String,
        around: &str,
        directive: &'a Directive,
        alone: bool,
    ) -> Result<(), Complaint> {
        let block = match &directive.what {
            What::Ev(id) => return self.mark(text, id),
            What::Drawing(figure) if !alone && figure.caption.is_none() => {
                let name = figure.names.join(" ");
                self.draw_once(&[&name])?;
                text.push_str(&drawing::inline(self.book, &name, self.format)?);
                return Ok(());
            }
            What::Proof { name, anchor } => self.panel(name, anchor.as_deref())?,
            What::Drawing(figure) => self.figure(around, directive, figure)?,
            What::Sim { name, start } => self.sim(name, start)?,
            What::Differences => differences_table(self.book)?,
            What::Matrix => self.matrix()?,
            What::Errors => errors::list(self.book, self.page)?,
            What::Guarantee(names) => experiment::table(self.book, self.page, names, self.format)?,
            What::Stalls(figure) => self.stalls(around, directive, figure)?,
            What::Ledger(part) => ledger::expand(self, part.as_deref())?,
        };
        if !alone {
            let name = directive.what.name();
            return Err(format!("{{{{#{name}}}}} stands alone on its line; move it").into());
        }
        let margin = around[..directive.range.start].rsplit('\n').next();
        text.push_str(&within(&block, margin.unwrap_or_default()));
        // An empty line ends the block of HTML.
        text.push('\n');
        Ok(())
    }

    fn mark(&mut self, text: &mut String, id: &str) -> Result<(), Complaint> {
        let claim = self.book.ledger.get(id).ok_or_else(|| {
            format!("unknown claim `{id}`; add [{id}] to a file of book/evidence or correct the id")
        })?;
        let known = self.claims.iter().position(|other| other.id == id);
        let index = known.unwrap_or_else(|| {
            self.claims.push(claim);
            self.claims.len() - 1
        });
        evidence::push_mark(text, index + 1, claim, self.format);
        Ok(())
    }

    fn matrix(&mut self) -> Result<String, Complaint> {
        let page = self.page;
        let matrix = page.matrix.as_ref().ok_or("the matrix was not read")?;
        if self.format == Format::Html {
            for (extension, data) in [
                ("csv", matrix.csv(&self.book.ledger)),
                ("json", matrix.json(&self.book.ledger)),
            ] {
                let data = data.map_err(|e| format!("{e:#}"))?;
                self.data.insert(page.address.data(extension), data);
            }
        }
        Ok(matrix::expand(self, matrix))
    }

    fn panel(&mut self, name: &str, anchor: Option<&str>) -> Result<String, Complaint> {
        let (panel, recording) = proof::Panel::find(self.book, name, anchor, &self.panels)?;
        self.panels.push(name.to_owned());
        if self.format == Format::Markdown {
            return Ok(panel.markdown(self.book, recording.as_ref().ok().copied()));
        }
        let recording = recording?;
        self.shown.push(recording.record.clone());
        Ok(panel.html(self.book, recording))
    }

    fn figure(
        &mut self,
        around: &str,
        directive: &'a Directive,
        figure: &Figure,
    ) -> Result<String, Complaint> {
        let names: Vec<&str> = figure.names.iter().map(String::as_str).collect();
        self.draw_once(&names)?;
        let caption = self.caption(around, directive, figure);
        match self.format {
            Format::Html => drawing::html(self.book, &names, caption.trim()),
            Format::Markdown => drawing::markdown(self.book, &names, caption.trim()),
        }
    }

    fn stalls(
        &mut self,
        around: &str,
        directive: &'a Directive,
        figure: &Figure,
    ) -> Result<String, Complaint> {
        let chart = experiment::Stalls::load(self.book, &figure.names)?;
        self.draw_once(&["stalls"])?;
        let caption = self.caption(around, directive, figure);
        Ok(match self.format {
            Format::Html => chart.html(caption.trim()),
            Format::Markdown => chart.markdown(caption.trim()),
        })
    }

    /// The caption of a directive, with its marks expanded.
    fn caption(&mut self, around: &str, directive: &'a Directive, figure: &Figure) -> String {
        let Some(range) = figure.caption.clone() else {
            return String::new();
        };
        let mut caption = String::new();
        let mut copied = range.start;
        for inside in &directive.inside {
            if inside.range.start >= copied {
                caption.push_str(&around[copied..inside.range.start]);
                copied = inside.range.end;
                if let Err(complaint) = self.try_directive(&mut caption, around, inside, false) {
                    self.problem_at(inside.line, complaint);
                }
            }
        }
        caption + &around[copied..range.end]
    }

    fn sim(&mut self, name: &str, start: &str) -> Result<String, Complaint> {
        let folder = self.book.root.join(&self.book.source);
        let sim = Sim::find(&folder, name, start)?;
        let proven = sim.proven(&folder)?;
        // It has ids too.
        self.draw_once(&[&format!("sim {}", sim.name())])?;
        let (page, format) = (self.page, self.format);
        let mut mark = |text: &mut String, id: &str| self.mark(text, id);
        match format {
            Format::Html => sim.html(page, &proven, &mut mark),
            Format::Markdown => sim.markdown(&proven, &mut mark),
        }
    }

    /// A drawing has ids, which a page may hold once.
    fn draw_once(&mut self, names: &[&str]) -> Result<(), Complaint> {
        for name in names {
            if self.drawings.iter().any(|drawn| drawn == name) {
                return Err(
                    format!("the drawing `{name}` stands twice on this page; remove one").into(),
                );
            }
            self.drawings.push((*name).to_owned());
        }
        Ok(())
    }

    fn problem_at(&mut self, line: usize, complaint: Complaint) {
        let file = self.book.file(self.page);
        self.problems.push(complaint.at(file, line));
    }
}

/// The table of what emulators do and their makers document otherwise.
fn differences_table(book: &Book) -> Result<String, Complaint> {
    let rows = differences(&book.root.join(&book.source))?;
    Ok(sim::differences_table(&rows))
}

/// Lines within containers: each after the first begins with what marks them.
fn within(text: &str, margin: &str) -> String {
    if margin.is_empty() {
        return text.to_owned();
    }
    let mut lines = text.split('\n');
    let mut within = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        within.push('\n');
        within.push_str(match line.trim().is_empty() {
            true => margin.trim_end(),
            false => margin,
        });
        within.push_str(line);
    }
    within
}

/// Whether nothing but blanks stands on the lines of a directive.
fn stands_alone(text: &str, range: &Range<usize>) -> bool {
    let before = text[..range.start].rsplit('\n').next().unwrap_or_default();
    let after = text[range.end..].split('\n').next().unwrap_or_default();
    before.trim().is_empty() && after.trim().is_empty()
}

/// `Programs on this page last ran on 23 November 2026: Apache Kafka 4.4.0, rdkafka 0.39.0, Rust
/// 1.95.0.`
fn versions(shown: &[Record]) -> String {
    let Some(days) = record::days(shown) else {
        return String::new();
    };
    let mut versions: Vec<String> = Vec::new();
    let brokers = shown.iter().filter_map(|record| record.broker.clone());
    let clients = shown.iter().map(|record| record.client.clone());
    let compilers = shown.iter().filter_map(|record| record.rust.as_ref());
    let compilers = compilers.map(|version| format!("Rust {version}"));
    for version in brokers.chain(clients).chain(compilers) {
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    let on = if days.0 == days.1 { "on " } else { "" };
    format!(
        "Programs on this page last ran {on}{}: {}.",
        markup::days(days),
        versions.join(", ")
    )
}
