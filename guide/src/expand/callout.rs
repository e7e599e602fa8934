//! mdbook-admonish 1.20 under mdBook 0.5. It is written for 0.4: the callouts of a page go through JSON into a
//! book of 0.4 and come back as text, with a mark where the content of each belongs. To be deleted, together
//! with the crates `mdbook` and `mdbook-admonish`, when mdbook-admonish supports 0.5.

use anyhow::{Context, Result, anyhow};
use mdbook::preprocess::Preprocessor;
use mdbook_driver::config::Config;
use serde_json::{Value, json};

use crate::{
    model::section::Callout,
    text::problem::{Complaint, cut},
};

/// Where the content of a callout belongs, and what stands between two callouts.
const CONTENT: &str = "\u{e000}";
const BETWEEN: &str = "\u{e001}";

/// What mdbook-admonish writes around the content of a callout.
pub struct Frame {
    before: String,
    after: String,
}

impl Frame {
    /// The callout with its content, which has its own lines.
    pub fn around(&self, content: &str) -> String {
        format!("{}{}{}", self.before, content, self.after)
    }
}

/// The frames of the callouts of a page, in their order.
///
/// # Errors
/// The line of the first callout whose header cannot be read, and why; line 1 when
/// `[preprocessor.admonish]` is missing.
pub fn frames(config: &Config, callouts: &[&Callout]) -> Result<Vec<Frame>, (usize, Complaint)> {
    if callouts.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = |e: &anyhow::Error| {
        let reason = cut(&format!("{e:#}"));
        format!("a callout cannot be read: {reason}; correct it").into()
    };
    made(config, callouts).map_err(|e| {
        let read_alone = |callout: &&Callout| made(config, &[*callout]).is_err();
        let first = callouts.iter().copied().find(read_alone);
        (first.map_or(1, |callout| callout.line), wrong(&e))
    })
}

fn made(config: &Config, callouts: &[&Callout]) -> Result<Vec<Frame>> {
    let fences = callouts.iter().map(|callout| {
        let info = &callout.info;
        format!("~~~~ {info}\n{CONTENT}\n~~~~\n\n{BETWEEN}\n\n")
    });
    let framed = expand(config, &fences.collect::<String>())?;
    let frames = framed.split(BETWEEN).take(callouts.len()).map(|framed| {
        let (before, after) = framed
            .split_once(CONTENT)
            .context("mdbook-admonish returned a callout without its content")?;
        Ok(Frame {
            before: named_links(before.trim_start_matches('\n')),
            after: after.trim_end().to_owned(),
        })
    });
    frames.collect()
}

/// What mdbook-admonish makes of a chapter.
fn expand(config: &Config, chapter: &str) -> Result<String> {
    let context = serde_json::from_value(context(config)?)?;
    let book = serde_json::from_value(json!({
        "sections": [{ "Chapter": {
            "name": "", "content": chapter, "number": null, "sub_items": [],
            "path": "chapter.md", "source_path": "chapter.md", "parent_names": [],
        } }],
        "__non_exhaustive": null,
    }))?;
    let book = mdbook_admonish::Admonish.run(&context, book)?;
    text_of_first_chapter(&serde_json::to_value(book)?)
}

fn context(config: &Config) -> Result<Value> {
    let mut admonish: Value = config
        .get("preprocessor.admonish")?
        .context("no [preprocessor.admonish] in book.toml")?;
    admonish["on_failure"] = json!("bail");
    Ok(json!({
        "root": "", "renderer": "html", "mdbook_version": mdbook::MDBOOK_VERSION,
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
