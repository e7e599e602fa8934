//! The road from `book/` to a site: read, expand, render, finish, check.

use std::{
    collections::{BTreeSet, HashMap},
    env, fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jiff::civil::Date;
use mdbook_driver::{
    MDBook,
    book::{self, BookItem},
    config::Config,
};
use mdbook_html::HtmlHandlebars;
use mdbook_renderer::{RenderContext, Renderer};

pub use crate::model::options::{Options, today};
use crate::{
    expand::{Expanded, Expander, Format},
    model::{book::Book, settings, summary},
    site::{Outline, Site, complaints, twins},
    text::{
        grammar::Grammar,
        memo::Memo,
        problem::{Problem, Problems},
    },
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

/// What a server keeps from one build for the next.
#[derive(Default)]
pub(crate) struct Cache {
    grammar: Grammar,
    outlines: Memo<Arc<Outline>>,
    searched: Memo<Arc<guide_search::Content>>,
}

impl Cache {
    /// Forgets what the last build did not use.
    fn forget_unused(&self) {
        self.grammar.forget_unused();
        self.outlines.forget_unused();
        self.searched.forget_unused();
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
    let built = render(root, &fresh, options, &Cache::default());
    let mut built = built.inspect_err(|_| remove(&fresh))?;
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
    let folder = std::path::absolute(folder)?;
    render(root, &folder, &Options::default(), &Cache::default())
}

/// Every page of the project in `root` as plain Markdown, its programs, commands and outputs as
/// fenced blocks, by its file relative to `book/`: what skeptic compiles.
///
/// # Errors
/// [`Problems`] when `book.toml` or the summary is wrong.
pub fn expanded_markdown(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let config = settings::load(root)?;
    let stock = load(root, config)?;
    let book = survey_of(&stock, today(), Grammar::default())?;
    // Here a page that lacks its proofs is still a page: only the site insists on them.
    let markdown = Expander::new(&book, &stock.config).pages(Format::Markdown);
    let pages = book.pages.into_iter().zip(markdown);
    Ok(pages
        .map(|(page, expanded)| (page.source, expanded.text))
        .collect())
}

/// Builds the site into `folder`.
pub(crate) fn render(
    root: &Path,
    folder: &Path,
    options: &Options,
    cache: &Cache,
) -> Result<Built> {
    let start = Instant::now();
    let mut config = settings::load(root)?;
    for_html_only(&mut config, folder, options)?;
    let stock = load(root, config)?;
    let config = &stock.config;
    let book = survey_of(&stock, options.today, cache.grammar.clone())?;
    let expander = Expander::new(&book, config);
    let (html, markdown) = rayon::join(
        || expander.pages(Format::Html),
        || expander.pages(Format::Markdown),
    );
    let mut problems = proofs(&book);
    problems.extend(settings::wrong_redirects(root, config, &book.pages));
    problems.extend(html.iter().flat_map(|page| page.problems.clone()));
    Problems::check(problems)?;
    render_pages(&stock, &book, &html, folder)?;
    let versions: Vec<String> = html.into_iter().map(|page| page.versions).collect();
    let site = Site {
        book: &book,
        config,
        folder,
        versions: &versions,
        outlines: &cache.outlines,
        searched: &cache.searched,
    };
    site.finish(options)?;
    twins::write(&book, config, &markdown, folder)?;
    if options.editions {
        editions(root, folder)?;
    }
    cache.forget_unused();
    Ok(Built {
        pages: book.pages.len(),
        folder: folder.to_owned(),
        took: start.elapsed(),
        programs: book
            .pages
            .into_iter()
            .flat_map(|page| page.programs)
            .collect(),
    })
}

/// Has a program of its own make the social cards, the EPUB and the PDF: what it is made of takes longer to
/// compile than all that the pages need.
fn editions(root: &Path, folder: &Path) -> Result<()> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--bin", "editions", "--manifest-path"])
        .arg(workspace)
        .args(["--", "--root"])
        .arg(root)
        .arg("--site")
        .arg(folder)
        .status()
        .context("cannot start cargo, which runs the program that makes the editions")?;
    ensure!(status.success(), "the editions could not be made");
    Ok(())
}

/// What is wrong with the ledger as a whole.
pub(crate) fn proofs(book: &Book) -> Vec<Problem> {
    let mut problems = book
        .ledger
        .problems(&book.root, &book.programs, &book.grammar);
    problems.extend(book.unused_claims());
    problems
}

/// Has mdBook render the pages, and writes the data beside them.
fn render_pages(stock: &MDBook, book: &Book, pages: &[Expanded], folder: &Path) -> Result<()> {
    let chapters = with_texts(stock.book.clone(), book, pages);
    let mut context = RenderContext::new(&stock.root, chapters, stock.config.clone(), folder);
    for page in &book.pages {
        if let Some(title) = page.text.title.clone() {
            let path = PathBuf::from(page.address.as_str());
            context.chapter_titles.insert(path, title);
        }
    }
    let (rendered, complaints) = complaints::during(|| HtmlHandlebars::new().render(&context));
    rendered?;
    Problems::check(complaints::located(book, complaints))?;
    for (address, data) in pages.iter().flat_map(|page| &page.data) {
        let file = folder.join(address);
        fs::write(&file, data).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The chapters of a book with the texts that its pages were expanded to. The template compares the address
/// of each entry of the navigation with the page's.
pub(crate) fn with_texts(mut chapters: book::Book, book: &Book, pages: &[Expanded]) -> book::Book {
    let pages = book.pages.iter().zip(pages);
    let pages: HashMap<&Path, _> = pages.map(|pair| (pair.0.source.as_path(), pair)).collect();
    chapters.for_each_mut(|item| {
        if let BookItem::Chapter(chapter) = item
            && let Some(source) = &chapter.source_path
            && let Some((page, expanded)) = pages.get(source.as_path())
        {
            chapter.content.clone_from(&expanded.text);
            chapter.path = Some(PathBuf::from(page.address.as_str()));
        }
    });
    chapters
}

/// The book as the files describe it, without its pages being rendered, and its settings.
///
/// # Errors
/// [`Problems`] when `book.toml`, the summary or the ledger is wrong.
pub fn survey(root: &Path) -> Result<(Book, Config)> {
    survey_on(root, today())
}

/// The same on a day.
pub(crate) fn survey_on(root: &Path, today: Date) -> Result<(Book, Config)> {
    let stock = load(root, settings::load(root)?)?;
    let book = survey_of(&stock, today, Grammar::default())?;
    Ok((book, stock.config))
}

fn survey_of(stock: &MDBook, today: Date, grammar: Grammar) -> Result<Book> {
    Book::survey(&stock.root, &stock.config, &stock.book, today, grammar)
}

/// Reads the chapters, each once.
fn load(root: &Path, config: Config) -> Result<MDBook> {
    let source = config.book.src.clone();
    Problems::check(summary::problems(root, &source))?;
    MDBook::load_with_config(root, config).map_err(|e| {
        let pages = Problems::check(summary::unreadable_pages(root, &source));
        let summary = || Problems::from(summary::unreadable(&source, &e));
        pages.err().unwrap_or_else(summary).into()
    })
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

/// Removes a folder of ours that may not exist.
fn remove(folder: &Path) {
    // What cannot be removed is in the way of the next rename, which says so.
    let _ = fs::remove_dir_all(folder);
}
