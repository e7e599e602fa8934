//! From `book/` to a site: preprocess, render, complete, check.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use jiff::{ZonedDateTime, civil::Date};
use mdbook_driver::{MDBook, book::BookItem, builtin_renderers::MarkdownRenderer, config::Config};
use mdbook_html::HtmlHandlebars;

use crate::{
    complaints, editions,
    errors::{Problem, Problems, cut, line_of},
    finish,
    preprocess::{Guide, PageFacts},
    settings,
    site::Site,
    summary, twins,
};

/// A site that was built.
#[derive(Debug)]
pub struct Built {
    /// The number of pages.
    pub pages: usize,
    /// The folder it was written to.
    pub folder: PathBuf,
    /// How long it took.
    pub took: Duration,
    /// The names of the programs that its pages show.
    pub programs: BTreeSet<String>,
}

impl fmt::Display for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pages, folder) = (self.pages, self.folder.display());
        write!(
            f,
            "{pages} pages in {folder}, built in {:.2} s",
            self.took.as_secs_f32()
        )
    }
}

/// Builds the site of the project in `root` into `target/site`. When the book has problems, the
/// last good site stays.
///
/// # Errors
/// [`Problems`] of the book, or what went wrong with a file.
pub fn build(root: &Path) -> Result<Built> {
    build_with(root, &Options::default())
}

/// What a build makes beyond the pages.
#[derive(Debug)]
pub struct Options {
    /// Whether it makes the editions: social cards, EPUB and PDF.
    pub editions: bool,
    /// The address of the published site, instead of that in `book.toml`.
    pub site: Option<String>,
    /// The path of the same host from which the pages are told to reload.
    pub live: Option<String>,
    /// The day that counts as today: the site says which sources were read too long before.
    pub today: Date,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            editions: false,
            site: None,
            live: None,
            today: today(),
        }
    }
}

/// Builds the site as it would be on a day.
///
/// # Errors
/// As [`build`].
pub fn build_on(root: &Path, today: Date) -> Result<Built> {
    let options = Options {
        today,
        ..Options::default()
    };
    build_with(root, &options)
}

/// As [`build`], with options.
///
/// # Errors
/// As [`build`]; an edition that can't be made.
pub fn build_with(root: &Path, options: &Options) -> Result<Built> {
    let target = root.join("target");
    // Of two builds at once the second waits: they use the same folders.
    let _lock = lock(&target)?;
    let (fresh, site, old) = (
        target.join("site.new"),
        target.join("site"),
        target.join("site.old"),
    );
    let mut built = render(root, &fresh, options).inspect_err(|_| remove(&fresh))?;
    remove(&old);
    if site.exists() {
        fs::rename(&site, &old).context("cannot move the old target/site away")?;
    }
    fs::rename(&fresh, &site).context("cannot move the new site to target/site")?;
    remove(&old);
    built.folder = PathBuf::from("target/site");
    Ok(built)
}

/// Waits until no other build is at work; the lock ends with the file, or with the process.
fn lock(target: &Path) -> Result<File> {
    let path = target.join("site.lock");
    let lock = || {
        fs::create_dir_all(target)?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok::<_, io::Error>(file)
    };
    lock().with_context(|| format!("cannot lock {}", path.display()))
}

/// Builds the site of the project in `root` into `folder`, which is emptied first, and leaves
/// `target/site` as it is.
///
/// # Errors
/// [`Problems`] of the book, or what went wrong with a file.
pub fn build_into(root: &Path, folder: &Path) -> Result<Built> {
    render(root, &std::path::absolute(folder)?, &Options::default())
}

/// Every page of the project in `root` as plain Markdown, its programs, commands and outputs as
/// fenced blocks, by its file relative to `book/`: what skeptic compiles.
///
/// # Errors
/// [`Problems`] when `book.toml`, the summary or an include is wrong.
pub fn expanded_markdown(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    markdown_on(root, today())
}

fn markdown_on(root: &Path, today: Date) -> Result<Vec<(PathBuf, String)>> {
    let config = settings::load(root)?;
    let mut book = load(root, config)?;
    book.with_preprocessor(Guide::new(today));
    let (expanded, complaints) =
        complaints::during(|| book.preprocess_book(&MarkdownRenderer::new()));
    let (expanded, _) = expanded?;
    Problems::check(complained(&book, complaints))?;
    let chapters = expanded.iter().filter_map(|item| match item {
        BookItem::Chapter(chapter) => Some((chapter.source_path.clone()?, chapter.content.clone())),
        _ => None,
    });
    Ok(chapters.collect())
}

/// Builds the site into `folder`.
pub(crate) fn render(root: &Path, folder: &Path, options: &Options) -> Result<Built> {
    let start = Instant::now();
    // The Markdown takes a quarter as long as the pages: a second core makes it meanwhile.
    let (pages, markdown) = thread::scope(|scope| {
        let markdown = scope.spawn(|| markdown_on(root, options.today));
        (render_pages(root, folder, options), markdown.join())
    });
    let (book, facts) = pages?;
    let markdown = markdown.map_err(|_| anyhow!("a thread that expanded the pages panicked"))?;
    twins::write(&book, &markdown?, folder, &facts)?;
    if options.editions {
        editions::make(&book, folder, &facts)?;
    }
    Ok(Built {
        pages: facts.len(),
        folder: folder.to_owned(),
        took: start.elapsed(),
        programs: facts
            .values()
            .flat_map(|page| page.programs.clone())
            .collect(),
    })
}

/// Renders, completes and checks the pages; returns the book as it was read, and what is known about
/// each page.
fn render_pages(
    root: &Path,
    folder: &Path,
    options: &Options,
) -> Result<(MDBook, BTreeMap<String, PageFacts>)> {
    let mut config = settings::load(root)?;
    for_html_only(&mut config, folder, options)?;
    let mut book = load(root, config)?;
    let guide = Guide::new(options.today);
    let facts = guide.facts();
    book.with_preprocessor(guide);
    let renderer = HtmlHandlebars::new();
    let (rendered, complaints) = complaints::during(|| book.execute_build_process(&renderer));
    rendered?;
    Problems::check(complained(&book, complaints))?;
    let facts = facts.take();
    for (address, data) in facts.values().flat_map(|page| &page.data) {
        let file = folder.join(address);
        fs::write(&file, data).with_context(|| format!("cannot write {}", file.display()))?;
    }
    finish::finish(&book, folder, &facts, options)?;
    Ok((book, facts))
}

/// The day of this machine.
pub fn today() -> Date {
    ZonedDateTime::now().date()
}

/// The site as the files describe it, without its pages being rendered.
///
/// # Errors
/// [`Problems`] when `book.toml`, the summary or the ledger is wrong.
pub(crate) fn survey(root: &Path, today: Date) -> Result<Site> {
    let book = load(root, settings::load(root)?)?;
    Site::survey(&book.root, &book.config, &book.book, today)
}

fn load(root: &Path, config: Config) -> Result<MDBook> {
    let source = config.book.src.clone();
    Problems::check(summary::problems(root, &source))?;
    MDBook::load_with_config(root, config)
        .map_err(|e| Problems::from(summary::unreadable(&source, &e)).into())
}

fn for_html_only(config: &mut Config, folder: &Path, options: &Options) -> Result<()> {
    let html: Option<toml::Table> = config.get("output.html")?;
    let mut html = html.unwrap_or_default();
    // mdBook's library is built without its search and would complain.
    html.remove("search");
    // The pass after rendering writes the navigation, shorter than the template's.
    let fold = toml::Table::from_iter([("enable".to_owned(), true.into())]);
    html.insert("fold".to_owned(), fold.into());
    if let Some(repository) = settings::repository(config) {
        let edit = format!("{repository}/edit/main/{{path}}");
        html.entry("edit-url-template")
            .or_insert_with(|| edit.into());
    }
    if let Some(site) = &options.site {
        html.insert("site-url".to_owned(), site.as_str().into());
    }
    config.set(
        "output",
        toml::Table::from_iter([("html".to_owned(), html.into())]),
    )?;
    config.build.build_dir = folder.to_owned();
    Ok(())
}

/// What mdBook logged, as problems of the page that it names.
fn complained(book: &MDBook, complaints: Vec<String>) -> Vec<Problem> {
    let source = &book.config.book.src;
    let problem = |complaint: String| {
        let mut chapters = book.iter().filter_map(|item| match item {
            BookItem::Chapter(chapter) => chapter.source_path.as_ref(),
            _ => None,
        });
        let named = chapters.find(|path| {
            let path = path.with_extension("");
            complaint.contains(&format!("`{}.", path.display()))
        });
        let file = source.join(named.map_or(Path::new("SUMMARY.md"), PathBuf::as_path));
        let text = fs::read_to_string(book.root.join(&file)).unwrap_or_default();
        // What it is about stands in the first backticks: a tag, a footnote.
        let subject = complaint.split('`').nth(1).unwrap_or_default();
        let line = line_of(&text, subject.trim_end_matches('>'));
        Problem::new(file, line, format!("mdBook says: {}", cut(&complaint)))
    };
    complaints.into_iter().map(problem).collect()
}

/// Removes a folder of ours that may not exist.
fn remove(folder: &Path) {
    // What cannot be removed is in the way of the next rename, which says so.
    let _ = fs::remove_dir_all(folder);
}
