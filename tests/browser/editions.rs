//! Cards, EPUB and PDF of a small book: made, and what they are called.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use guide::build::{Options, build_with};
use serde_json::json;
use tests::browser::{Browser, LIGHT_WIDE, site};

/// The guide's own small book, with the theme and settings of the real one.
fn small_book(folder: &Path) -> Result<()> {
    let root = tests::root();
    copy(&root.join("guide/tests/fixture"), folder)?;
    copy(&root.join("book/theme"), &folder.join("book/theme"))?;
    fs::copy(root.join("book.toml"), folder.join("book.toml"))?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        match path.is_dir() {
            true => copy(&path, &target)?,
            false => drop(fs::copy(&path, &target)?),
        }
    }
    Ok(())
}

#[test]
fn all_editions_are_made_and_kept() -> Result<()> {
    // Installs the browser that prints.
    drop(Browser::start()?);
    let folder = tempfile::tempdir()?;
    small_book(folder.path())?;
    let options = Options {
        editions: true,
        site: Some("https://example.org/guide".to_owned()),
        ..Options::default()
    };
    build_with(folder.path(), &options)?;
    let site = folder.path().join("target/site");
    let read = |name: &str| fs::read(site.join(name)).with_context(|| format!("no {name}"));

    let page = String::from_utf8(read("kafka/produce.html")?)?;
    let card = "<meta property=\"og:image\" content=\"https://example.org/guide/cards/kafka/produce.png\">";
    ensure!(page.contains(card), "the page names no card");
    let picture = read("cards/kafka/produce.png")?;
    // Width and height of a PNG stand at byte 16.
    ensure!(
        picture[16..24] == [0, 0, 4, 176, 0, 0, 2, 118],
        "the card is not 1200 by 630"
    );

    let pdf = read("messaging-systems-compared.pdf")?;
    ensure!(pdf.starts_with(b"%PDF-") && pdf.len() > 10_000, "no PDF");
    let text = String::from_utf8_lossy(&pdf);
    ensure!(text.contains("/Outlines"), "the PDF has no outline");

    let epub = site.join("messaging-systems-compared.epub");
    // Each file of the archive is read and its check sum compared.
    let listed = Command::new("python3")
        .args(["-m", "zipfile", "-t"])
        .arg(&epub)
        .output()
        .context("cannot start python3")?;
    ensure!(
        listed.status.success() && listed.stdout.starts_with(b"Done"),
        "a broken EPUB"
    );

    let sitemap = String::from_utf8(read("sitemap.xml")?)?;
    ensure!(sitemap.contains("<loc>https://example.org/guide/kafka/produce.html</loc>"));
    ensure!(
        read("print.html").is_err() && read("print.profile").is_err(),
        "a draft is left"
    );

    // Made again from the same content, the cards are those that were kept.
    let kept = folder.path().join("target/cards");
    let days = |kept: &Path| -> Result<Vec<_>> {
        let files = fs::read_dir(kept)?;
        files
            .map(|file| Ok(file?.metadata()?.modified()?))
            .collect()
    };
    let before = days(&kept)?;
    build_with(folder.path(), &options)?;
    ensure!(before == days(&kept)?, "the cards were made again");
    Ok(())
}

/// The PDF has all pages in one: what a cheat sheet leaves out to fit on its page, the others keep.
#[tokio::test]
async fn a_cheat_sheet_hides_only_what_is_its_own() -> Result<()> {
    const SHOWN: &str = "
const main = document.querySelector('main'), sheet = document.createElement('article');
sheet.append(...main.children);
const page = document.createElement('article');
page.innerHTML = '<p class=lead>a<ol class=sources><li>b</ol>';
main.append(sheet, page);
return ['.lead', '.sources'].map((part) => [sheet, page].map((of) => of.querySelector(part).checkVisibility()));
";
    let browser = Browser::start()?;
    let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
    tab.open("reference/cheat-sheet-kafka.html").await?;
    tab.devtools("Emulation.setEmulatedMedia", json!({ "media": "print" }))
        .await?;
    let shown = tab.run(SHOWN).await?;
    ensure!(shown == json!([[false, true], [false, true]]), "{shown}");
    tab.close().await
}
