//! mdBook's own directives, which fail without an error: what they include must exist.

use std::{fs, path::Path};

use super::directive::{self, Directive};
use crate::{
    errors::Problem,
    site::{Page, Site},
};

/// What the guide expands.
pub const OURS: [&str; 10] = [
    "proof",
    "ev",
    "ledger",
    "drawing",
    "matrix",
    "errors",
    "guarantee",
    "stalls",
    "sim",
    "differences",
];
const MDBOOK: [&str; 3] = ["include", "rustdoc_include", "playground"];

/// Whatever is wrong with the directives that mdBook expands, and names that nobody knows.
pub fn check(site: &Site, page: &Page) -> Vec<Problem> {
    let problem =
        |offset, message: String| Problem::new(site.file(page), page.line_at(offset), message);
    let unclosed = directive::unclosed(&page.text);
    let mut problems: Vec<_> = unclosed
        .map(|start| {
            problem(
                start,
                "a directive is not closed; end it with `}}`, or write \\{{# if it is meant as text"
                    .to_owned(),
            )
        })
        .collect();
    for directive in directive::all(&page.text) {
        let wrong = match directive.name.as_str() {
            name if MDBOOK.contains(&name) => include(site, page, &directive).err(),
            "title" => None,
            name if OURS.contains(&name) => None,
            name => Some(format!(
                "unknown directive `{{{{#{name}}}}}`; known: {}, {}, title; write \\{{{{#{name}}}}} if it is \
                 meant as text",
                OURS.join(", "),
                MDBOOK.join(", ")
            )),
        };
        problems.extend(wrong.map(|message| problem(directive.range.start, message)));
    }
    problems
}

/// The files that a page includes, relative to its folder.
pub fn included(text: &str) -> Vec<String> {
    let directives = directive::all(text).filter(|d| MDBOOK.contains(&d.name.as_str()));
    let file = |directive: Directive| target(&directive).0.to_owned();
    directives.map(file).collect()
}

/// The file and the part, anchor or lines, that a directive includes.
fn target(directive: &Directive) -> (&str, &str) {
    let target = directive.arguments.split_whitespace().next();
    let target = target.unwrap_or_default();
    target.split_once(':').unwrap_or((target, ""))
}

fn include(site: &Site, page: &Page, directive: &Directive) -> Result<(), String> {
    let (file, part) = target(directive);
    let folder = page.source.parent().unwrap_or(Path::new(""));
    let path = site.root.join(&site.source).join(folder).join(file);
    let text = fs::read_to_string(&path)
        .map_err(|_| format!("the included file `{file}` does not exist; correct the path"))?;
    let is_anchor = !part.is_empty() && !part.contains(|c: char| c.is_ascii_digit() || c == ':');
    if is_anchor && !text.contains(&format!("ANCHOR: {part}")) {
        return Err(format!(
            "no anchor `{part}` in the included file `{file}`; add or correct it"
        ));
    }
    match directive::all(&text).find(|inner| OURS.contains(&inner.name.as_str())) {
        Some(inner) => Err(format!(
            "the included file `{file}` holds {{{{#{}}}}}, which works in pages only; move it",
            inner.name
        )),
        None => Ok(()),
    }
}
