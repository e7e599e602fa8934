//! The site as it is published: it builds, and a page loads nothing but what is its own.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lol_html::{RewriteStrSettings, element, rewrite_str};

/// Building checks every link, anchor, panel and mark; the pages are then read as a browser would.
#[test]
fn every_page_is_whole_and_asks_no_other_host() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let built = guide::build::build_into(&tests::root(), folder.path())
        .context("the guide does not build")?;
    let pages = html_files(folder.path())?;
    ensure!(
        pages.len() >= built.pages,
        "pages are missing: {} of {}",
        pages.len(),
        built.pages
    );
    let mut breaches = Vec::new();
    for page in &pages {
        let html = fs::read_to_string(page)?;
        for breach in breaches_of(&html)? {
            breaches.push(format!("{}: {breach}", page.display()));
        }
    }
    ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
    Ok(())
}

fn html_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(html_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            files.push(path);
        }
    }
    Ok(files)
}

/// What the content security policy of a host would refuse, and what a page must have.
fn breaches_of(html: &str) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    let (mut titles, mut descriptions, mut headings) = (0, 0, 0);
    let handler = element!("*", |element| {
        let tag = element.tag_name();
        match tag.as_str() {
            "title" => titles += 1,
            "h1" => headings += 1,
            "meta" if element.get_attribute("name").as_deref() == Some("description") => {
                descriptions += 1;
            }
            _ => {}
        }
        for attribute in element.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            if name == "style" || name.starts_with("on") {
                breaches.push(format!("<{tag}> has the attribute {name}"));
            }
            let loads = name == "src" || (name == "href" && tag == "link");
            if loads && is_foreign(&value) {
                breaches.push(format!("<{tag}> loads {value}"));
            }
            if value.trim_start().starts_with("javascript:") {
                breaches.push(format!("<{tag}> has a script as {name}"));
            }
        }
        if tag == "style" || (tag == "script" && element.get_attribute("src").is_none()) {
            breaches.push(format!("an inline <{tag}>"));
        }
        Ok(())
    });
    rewrite_str(
        html,
        RewriteStrSettings::new().append_element_content_handler(handler),
    )?;
    for (has, what) in [
        (titles >= 1, "no title"), // drawings have titles of their own
        (descriptions == 1, "not exactly one description"),
        (headings == 1, "not exactly one h1"),
    ] {
        if !has {
            breaches.push(what.to_owned());
        }
    }
    Ok(breaches)
}

/// Whether an address leads to another host. A canonical link names this one, and loads nothing.
fn is_foreign(address: &str) -> bool {
    address.contains("://") || address.starts_with("//")
}

#[test]
fn a_foreign_or_inline_part_is_found() -> Result<()> {
    let page = |part: &str| {
        let head = r#"<title>x</title><meta name="description" content="x"><h1>x</h1>"#;
        breaches_of(&format!("{head}{part}"))
    };
    ensure!(page("")?.is_empty());
    for bad in [
        "<script>1</script>",
        r#"<script src="https://example.org/a.js"></script>"#,
        r#"<link rel="stylesheet" href="//example.org/a.css">"#,
        r#"<p style="color:red">x</p>"#,
        r#"<p onclick="x()">x</p>"#,
        r#"<a href="javascript:x()">x</a>"#,
        "<style>p{}</style>",
        "<h1>second</h1>",
    ] {
        ensure!(!page(bad)?.is_empty(), "not found: {bad}");
    }
    Ok(())
}
