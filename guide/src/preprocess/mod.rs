//! The preprocessor `guide`: expands callouts, listings, panels, marks and drawings of every
//! chapter, for HTML as markup and for any other renderer as ordinary Markdown.

mod admonish_bridge;
mod directive;
mod drawing;
mod error_index;
mod evidence;
mod fences;
mod guarantee;
mod head;
mod includes;
mod ledger;
mod matrix;
mod proof;
pub mod scan;
pub mod sim;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::Result;
use jiff::civil::Date;
use mdbook_driver::{
    book::{Book, BookItem, Chapter},
    config::Config,
};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};
use rayon::prelude::*;

use crate::{
    errors::{Problem, Problems, cut},
    examples::{self, Record, System},
    ledger::Claim,
    markup,
    site::{Page, Site},
};
use directive::Directive;
pub use fences::options;
pub use head::id_of as heading_id;
pub use includes::included;

/// What a page is expanded to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Markup inside Markdown.
    Html,
    /// Markdown alone.
    Markdown,
}

/// What the pass after rendering has to know about a page.
#[derive(Debug, Clone, Default)]
pub struct PageFacts {
    /// The file, relative to the folder of the chapters.
    pub source: PathBuf,
    /// The page's sentence for search engines.
    pub description: String,
    /// What readers type into the search for it.
    pub keywords: String,
    /// The system that it is about.
    pub system: Option<System>,
    /// The names of the programs that it shows.
    pub programs: BTreeSet<String>,
    /// When and with what its programs last ran; empty without programs.
    pub versions: String,
    /// Files with data of the page, by their addresses.
    pub data: BTreeMap<String, String>,
    /// Whether it is the first of the book, which mdBook writes to `index.html` as well.
    pub is_first: bool,
}

/// Facts of every page by its address relative to the site's root.
pub type Facts = Rc<RefCell<BTreeMap<String, PageFacts>>>;

/// The preprocessor.
pub struct Guide {
    facts: Facts,
    today: Date,
}

impl Guide {
    /// Expands a book on a day, which decides what is read too long ago.
    pub fn new(today: Date) -> Self {
        Self {
            facts: Facts::default(),
            today,
        }
    }

    /// The facts that a run fills in.
    pub fn facts(&self) -> Facts {
        Rc::clone(&self.facts)
    }
}

impl Preprocessor for Guide {
    fn name(&self) -> &str {
        "guide"
    }

    fn run(&self, context: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let format = match context.renderer.as_str() {
            "html" => Format::Html,
            _ => Format::Markdown,
        };
        let site = Site::survey(&context.root, &context.config, &book, self.today)?;
        // For skeptic and the Markdown twins a page that lacks its proofs is still a page: only HTML
        // insists on them.
        let mut problems = match format {
            Format::Html => proofs(&site),
            Format::Markdown => Vec::new(),
        };
        let pages = site.pages.par_iter();
        let (config, renderer) = (&context.config, context.renderer.as_str());
        let expanded = pages.map(|page| {
            let expanded = expand(&site, page, config, renderer, format);
            (page.source.as_path(), expanded)
        });
        let mut expanded: BTreeMap<&Path, Expanded> = expanded.collect();
        book.for_each_mut(|item| {
            if let BookItem::Chapter(chapter) = item
                && let Some(source) = &chapter.source_path
                && let Some(expanded) = expanded.remove(source.as_path())
            {
                problems.extend(self.take(expanded, format, chapter));
            }
        });
        if format == Format::Html {
            Problems::check(problems)?;
        }
        Ok(book)
    }
}

/// What is wrong with the ledger as a whole.
fn proofs(site: &Site) -> Vec<Problem> {
    let mut problems = site.ledger.problems(&site.root, &site.runs);
    problems.extend(site.unused_claims());
    problems
}

/// What became of a page.
struct Expanded {
    /// Nothing, when it could not be read.
    text: Option<String>,
    address: String,
    facts: PageFacts,
    problems: Vec<Problem>,
}

fn expand(site: &Site, page: &Page, config: &Config, renderer: &str, format: Format) -> Expanded {
    let mut content = PageContent::new(site, page, format);
    content.problems.extend(includes::check(site, page));
    for (offset, message) in &page.scan.misplaced {
        content.problem_at(page.line_at(*offset), message.clone());
    }
    Expanded {
        text: content.expand_chapter(config, renderer),
        address: page.address(),
        facts: content.facts(),
        problems: content.problems,
    }
}

impl Guide {
    /// Puts what became of a page into its chapter; returns what is wrong with it.
    fn take(&self, page: Expanded, format: Format, chapter: &mut Chapter) -> Vec<Problem> {
        if let Some(text) = page.text {
            chapter.content = text;
        }
        if format == Format::Html {
            // The template compares the address of each entry of the navigation with the page's.
            chapter.path = Some(page.facts.source.with_extension("html"));
            self.facts.borrow_mut().insert(page.address, page.facts);
        }
        page.problems
    }
}

/// A page while it is expanded.
pub struct PageContent<'a> {
    site: &'a Site,
    page: &'a Page,
    format: Format,
    /// The claims in the order of their first marks.
    claims: Vec<&'a Claim>,
    /// The programs of the panels so far.
    panels: Vec<String>,
    /// The records of those panels.
    shown: Vec<Record>,
    /// The drawings so far.
    drawings: Vec<String>,
    description: String,
    keywords: String,
    data: BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> PageContent<'a> {
    fn new(site: &'a Site, page: &'a Page, format: Format) -> Self {
        Self {
            site,
            page,
            format,
            claims: Vec::new(),
            panels: Vec::new(),
            shown: Vec::new(),
            drawings: Vec::new(),
            description: String::new(),
            keywords: String::new(),
            data: BTreeMap::new(),
            problems: Vec::new(),
        }
    }

    /// The claims that the page makes, each once.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().copied()
    }

    /// The records of every run that the page shows or rests on.
    pub fn records(&self) -> Vec<Record> {
        let claims = self.claims.iter();
        let claimed = claims.flat_map(|claim| self.site.records_of(claim));
        self.shown.iter().chain(claimed).cloned().collect()
    }

    fn expand_chapter(&mut self, config: &Config, renderer: &str) -> Option<String> {
        let text = self.numbered();
        let opening = match head::split(&text) {
            Ok(opening) => opening,
            Err((line, message)) => {
                self.problem_at(line, message);
                return None;
            }
        };
        self.description = opening.description.to_owned();
        self.keywords = opening.keywords.to_owned();
        let titled = match self.format {
            Format::Html => opening.rest.to_owned(),
            Format::Markdown => scan::with_titles(opening.rest),
        };
        let body = match admonish_bridge::expand(config, renderer, &titled) {
            Ok(body) => body,
            Err(e) => {
                let line = self.line_of_wrong_callout(config, renderer);
                let reason = cut(&format!("{e:#}"));
                self.problem_at(
                    line,
                    format!("a callout cannot be read: {reason}; correct it"),
                );
                return None;
            }
        };
        let body = match self.format {
            Format::Html => fences::colour(&body),
            Format::Markdown => body,
        };
        let body = self.expand_numbered(&body);
        let sources = evidence::sources(self.site, self.page, &self.claims, self.format);
        let head = match self.format {
            Format::Html => head::html(self.page, &opening, self),
            Format::Markdown => format!("# {}\n\n{}", opening.title, opening.description),
        };
        Some(format!("{head}\n\n{body}{sources}"))
    }

    /// The page with a number in place of each outermost directive: what is expanded last can then be
    /// told from code, and has the line of the page's file.
    fn numbered(&self) -> String {
        let text = &self.page.text;
        let mut numbered = String::with_capacity(text.len());
        let mut copied = 0;
        for (number, directive) in self.page.scan.directives.iter().enumerate() {
            if directive.range.start >= copied {
                numbered.push_str(&text[copied..directive.range.start]);
                numbered.push_str(&format!("{{{{#@{number}}}}}"));
                copied = directive.range.end;
            }
        }
        numbered + &text[copied..]
    }

    fn line_of_wrong_callout(&self, config: &Config, renderer: &str) -> usize {
        let is_wrong = |block: &&Range<usize>| {
            let block = &self.page.text[block.start..block.end];
            admonish_bridge::expand(config, renderer, block).is_err()
        };
        let wrong = self.page.scan.callouts.iter().find(is_wrong);
        wrong.map_or(1, |block| self.page.line_at(block.start))
    }

    /// Expands the directives behind the numbers of a text.
    fn expand_numbered(&mut self, text: &str) -> String {
        let directives = &self.page.scan.directives;
        let mut expanded = String::with_capacity(text.len() * 2);
        let mut copied = 0;
        for numbered in directive::outermost(text) {
            let number = numbered.name.strip_prefix('@').and_then(|n| n.parse().ok());
            if let Some(directive) = number.and_then(|n: usize| directives.get(n)) {
                expanded.push_str(&text[copied..numbered.range.start]);
                copied = numbered.range.end;
                let alone = stands_alone(text, &numbered.range);
                self.expand_directive(&mut expanded, directive, alone);
            }
        }
        expanded + &text[copied..]
    }

    /// Expands a part of the page's own text that lies inside a directive.
    fn expand_inside(&mut self, range: Range<usize>) -> String {
        let page = self.page;
        let mut expanded = String::new();
        let mut copied = range.start;
        let inside = |d: &&Directive| range.start <= d.range.start && d.range.end <= range.end;
        for directive in page.scan.directives.iter().filter(inside) {
            expanded.push_str(&page.text[copied..directive.range.start]);
            copied = directive.range.end;
            self.expand_directive(&mut expanded, directive, false);
        }
        expanded + &page.text[copied..range.end]
    }

    /// Appends what a directive stands for, or notes what is wrong with it.
    fn expand_directive(&mut self, text: &mut String, directive: &Directive, alone: bool) {
        if let Err(message) = self.try_expand(text, directive, alone) {
            self.problem_at(self.page.line_at(directive.range.start), message);
        }
    }

    fn try_expand(
        &mut self,
        text: &mut String,
        directive: &Directive,
        alone: bool,
    ) -> Result<(), String> {
        let arguments = directive.arguments.as_str();
        let block = match directive.name.as_str() {
            "ev" => return self.mark(text, arguments),
            "proof" => self.panel(arguments)?,
            "drawing" if !alone && !arguments.contains('|') => {
                self.draw_once(&[arguments])?;
                text.push_str(&drawing::inline(self.site, arguments, self.format)?);
                return Ok(());
            }
            "drawing" => self.figure(directive)?,
            "sim" => self.sim(arguments)?,
            "differences" => sim::differences_table(self.site)?,
            "matrix" => self.matrix()?,
            "errors" => error_index::list(self.site, self.page)?,
            "guarantee" => guarantee::table(self.site, self.page, arguments, self.format)?,
            "stalls" => self.stalls(directive)?,
            _ => ledger::expand(self, arguments)?,
        };
        if !alone {
            return Err(format!(
                "{{{{#{}}}}} stands alone on its line; move it",
                directive.name
            ));
        }
        text.push_str(&block);
        // An empty line ends the block of HTML.
        text.push('\n');
        Ok(())
    }

    fn mark(&mut self, text: &mut String, id: &str) -> Result<(), String> {
        let claim = self.site.ledger.get(id).ok_or_else(|| {
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

    fn matrix(&mut self) -> Result<String, String> {
        let page = self.page;
        let matrix = page.matrix.as_ref().ok_or("the matrix was not read")?;
        if self.format == Format::Html {
            for (extension, data) in [
                ("csv", matrix.csv(&self.site.ledger)),
                ("json", matrix.json(&self.site.ledger)),
            ] {
                let address = page.source.with_extension(extension);
                let address = address.to_string_lossy().replace('\\', "/");
                self.data
                    .insert(address, data.map_err(|e| format!("{e:#}"))?);
            }
        }
        Ok(matrix::expand(self, matrix))
    }

    fn panel(&mut self, arguments: &str) -> Result<String, String> {
        let panel = proof::Panel::find(self.site, arguments, &self.panels)?;
        self.panels.push(panel.name().to_owned());
        let recording = panel.recording(self.site);
        if self.format == Format::Markdown {
            return Ok(panel.markdown(self.site, recording.as_ref().ok()));
        }
        let recording = recording?;
        self.shown.push(recording.record.clone());
        Ok(panel.html(self.site, &recording))
    }

    fn figure(&mut self, directive: &Directive) -> Result<String, String> {
        let figure = drawing::Figure::parse(&directive.arguments);
        self.draw_once(&figure.names)?;
        let caption = self.caption(directive);
        match self.format {
            Format::Html => figure.html(self.site, caption.trim()),
            Format::Markdown => figure.markdown(self.site, caption.trim()),
        }
    }

    fn stalls(&mut self, directive: &Directive) -> Result<String, String> {
        let chart = guarantee::Stalls::load(self.site, &directive.arguments)?;
        self.draw_once(&["stalls"])?;
        let caption = self.caption(directive);
        Ok(match self.format {
            Format::Html => chart.html(caption.trim()),
            Format::Markdown => chart.markdown(caption.trim()),
        })
    }

    /// What stands behind the bar of a directive, with its marks expanded.
    fn caption(&mut self, directive: &Directive) -> String {
        let Range { start, end } = directive.range;
        let bar = self.page.text[start..end].find('|');
        let caption = bar.map(|bar| self.expand_inside(start + bar + 1..end - 2));
        caption.unwrap_or_default()
    }

    fn sim(&mut self, arguments: &str) -> Result<String, String> {
        let book = self.site.root.join(&self.site.source);
        let sim = sim::Sim::find(&book, arguments)?;
        let proven = sim.proven(&book)?;
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
    fn draw_once(&mut self, names: &[&str]) -> Result<(), String> {
        for name in names {
            if self.drawings.iter().any(|drawn| drawn == name) {
                return Err(format!(
                    "the drawing `{name}` stands twice on this page; remove one"
                ));
            }
            self.drawings.push((*name).to_owned());
        }
        Ok(())
    }

    fn problem_at(&mut self, line: usize, message: String) {
        let file = self.site.file(self.page);
        self.problems.push(Problem::new(file, line, message));
    }

    fn facts(&self) -> PageFacts {
        PageFacts {
            source: self.page.source.clone(),
            description: self.description.clone(),
            keywords: self.keywords.clone(),
            system: self.page.system(),
            programs: self.page.programs.clone(),
            versions: versions(&self.shown),
            data: self.data.clone(),
            is_first: self
                .site
                .pages
                .first()
                .is_some_and(|page| page.source == self.page.source),
        }
    }
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
    let Some(days) = examples::days(shown) else {
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
