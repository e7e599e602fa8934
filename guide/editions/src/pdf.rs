//! The guide as a PDF: all pages in one, printed by Chromium with the theme's print style.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mdbook_driver::config::BookConfig;

use super::{
    Leaf,
    document::{Document, Naming},
};
use guide::{Address, markup};

const STYLE: &str = include_str!("print.css");
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// How long the browser may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Prints the pages to `file`, with the style sheets of the site in `folder`.
///
/// # Errors
/// There is no browser, or it does not print.
pub fn write(
    file: &Path,
    folder: &Path,
    config: &BookConfig,
    pages: &[(&Leaf<'_>, &Document)],
) -> Result<()> {
    let (page, style) = (folder.join("print.html"), folder.join("print.css"));
    let sheets = style_sheets(&folder.join("index.html"))?;
    fs::write(&page, whole(config, &sheets, pages)).context("cannot write the page to print")?;
    fs::write(&style, STYLE).context("cannot write the style to print")?;
    let printed = print(&page, file);
    fs::remove_file(page)?;
    fs::remove_file(style)?;
    printed.context("cannot make the PDF")
}

/// The style sheets that the first page loads.
fn style_sheets(first: &Path) -> Result<Vec<String>> {
    let html = fs::read_to_string(first).context("cannot read the first page")?;
    let html = scraper::Html::parse_document(&html);
    let links = scraper::Selector::parse("link[rel=stylesheet]").ok();
    let links = links.iter().flat_map(|links| html.select(links));
    Ok(links
        .filter_map(|link| link.attr("href").map(str::to_owned))
        .collect())
}

/// All pages in one, each id with its page's number.
fn whole(config: &BookConfig, sheets: &[String], pages: &[(&Leaf<'_>, &Document)]) -> String {
    let numbers: BTreeMap<&Address, usize> = pages
        .iter()
        .enumerate()
        .map(|(number, (leaf, _))| (leaf.address, number))
        .collect();
    let title = markup::text(config.title.as_deref().unwrap_or_default());
    let mut text = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>"
    );
    for sheet in sheets.iter().map(String::as_str).chain(["print.css"]) {
        text += &format!("<link rel=\"stylesheet\" href=\"{sheet}\">");
    }
    text += &format!(
        "</head><body class=\"whole\"><div class=\"frame\"><main><nav class=\"inside\"><p class=\"book\">{title}</p>"
    );
    text += &contents(pages);
    text += "</nav>";
    for (number, (leaf, document)) in pages.iter().enumerate() {
        let naming = Naming {
            id: &format!("p{number}-"),
            link: &|link| link_in(leaf.address, link, &numbers),
            picture: &|picture| Some(leaf.address.resolve(picture).ok()??.0.to_string()),
            drawing: &|_| None,
            folded: false,
        };
        let class = leaf.system.map(|system| system.name()).unwrap_or_default();
        let of_page = document.text(&naming);
        text += &format!("<article id=\"p{number}\" class=\"{class}\">{of_page}</article>");
    }
    text + "</main></div></body></html>"
}

fn contents(pages: &[(&Leaf<'_>, &Document)]) -> String {
    let mut text = String::from("<ol>");
    let mut part = None;
    for (number, (leaf, _)) in pages.iter().enumerate() {
        if leaf.part != part {
            part = leaf.part;
            text += &format!(
                "</ol><h2>{}</h2><ol>",
                markup::text(part.unwrap_or_default())
            );
        }
        text += &format!(
            "<li><a href=\"#p{number}\">{}</a></li>",
            markup::text(leaf.name)
        );
    }
    text + "</ol>"
}

fn link_in(page: &Address, link: &str, numbers: &BTreeMap<&Address, usize>) -> Option<String> {
    match page.resolve(link).ok()? {
        None => Some(link.to_owned()),
        Some((file, id)) => {
            let number = numbers.get(&file)?;
            Some(match id.as_str() {
                "" => format!("#p{number}"),
                id => format!("#p{number}-{id}"),
            })
        }
    }
}

fn print(page: &Path, file: &Path) -> Result<()> {
    let browser = browser()
        .context("no Chromium or Chrome on the PATH; install one: apt-get install chromium")?;
    let page = fs::canonicalize(page)?;
    let profile = page.with_extension("profile");
    let mut command = Command::new(&browser);
    command
        .args([
            "--headless=new",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args(["--no-pdf-header-footer", "--generate-pdf-document-outline"])
        // It opens files of ours only, and as root its own sandbox does not start.
        .arg("--no-sandbox")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--print-to-pdf={}", file.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut running = command
        .spawn()
        .with_context(|| format!("cannot start {}", browser.display()))?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = running.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            running.kill()?;
            running.wait()?;
            bail!(
                "{} does not print in {} s",
                browser.display(),
                LIMIT.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(20));
    };
    // A profile that stays is in nobody's way, but in the site.
    fs::remove_dir_all(&profile)?;
    ensure!(status.success(), "{} ended: {status}", browser.display());
    ensure!(file.is_file(), "{} printed nothing", browser.display());
    Ok(())
}

fn browser() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let mut files = BROWSERS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.find(|file| file.is_file())
}
