//! mdbook-admonish 1.20 under mdBook 0.5. It is written for 0.4: one chapter at a time goes through
//! JSON into a book of 0.4 and comes back as text. To be deleted, together with the crates `mdbook`
//! and `mdbook-admonish`, when mdbook-admonish supports 0.5.

use anyhow::{Context, Result, anyhow};
use mdbook::preprocess::Preprocessor;
use mdbook_driver::config::Config;
use serde_json::{Value, json};

/// Turns the callouts of a chapter into HTML, or for any other renderer into their content alone.
///
/// # Errors
/// When a callout's header cannot be read or `[preprocessor.admonish]` is missing.
pub fn expand(config: &Config, renderer: &str, chapter: &str) -> Result<String> {
    if !chapter.contains("admonish") {
        return Ok(chapter.to_owned());
    }
    let context = serde_json::from_value(context(config, renderer)?)?;
    let book = serde_json::from_value(json!({
        "sections": [{ "Chapter": {
            "name": "", "content": chapter, "number": null, "sub_items": [],
            "path": "chapter.md", "source_path": "chapter.md", "parent_names": [],
        } }],
        "__non_exhaustive": null,
    }))?;
    let book = mdbook_admonish::Admonish.run(&context, book)?;
    let text = text_of_first_chapter(&serde_json::to_value(book)?)?;
    Ok(named_links(&text))
}

fn context(config: &Config, renderer: &str) -> Result<Value> {
    let mut admonish: Value = config
        .get("preprocessor.admonish")?
        .context("no [preprocessor.admonish] in book.toml")?;
    admonish["on_failure"] = json!("bail");
    if renderer != "html" {
        admonish["renderer"] = json!({ renderer: { "render_mode": "strip" } });
    }
    Ok(json!({
        "root": "", "renderer": renderer, "mdbook_version": mdbook::MDBOOK_VERSION,
        "config": { "book": {}, "preprocessor": { "admonish": admonish } },
    }))
}

fn text_of_first_chapter(book: &Value) -> Result<String> {
    let text = book["sections"][0]["Chapter"]["content"].as_str();
    text.map(str::to_owned)
        .ok_or_else(|| anyhow!("mdbook-admonish returned no chapter"))
}

/// The link to a callout has no text; without a name it cannot be read out.
fn named_links(html: &str) -> String {
    let mut named = String::with_capacity(html.len());
    for line in html.split_inclusive('\n') {
        match line.split_once("\"></a>") {
            Some((link, rest)) if link.contains("<a class=\"admonition-anchor-link\"") => {
                named.push_str(&format!(
                    "{link}\" aria-label=\"Link to this note\">#</a>{rest}"
                ));
            }
            _ => named.push_str(line),
        }
    }
    named
}
