//! The head of a page: the part's name, the title, the description as its lead, and what its
//! claims rest on.

use crate::{examples, ledger::Kind, markup, site::Page};

use super::PageContent;

/// The first two lines of a chapter, or three.
pub struct Opening<'a> {
    /// The title, as Markdown.
    pub title: &'a str,
    /// One sentence that says what the page is about.
    pub description: &'a str,
    /// What readers type into the search for it, of the line `<!-- keywords: a, b -->`; mostly nothing.
    pub keywords: &'a str,
    /// What follows.
    pub rest: &'a str,
}

/// Splits a chapter into title, description and the rest.
///
/// # Errors
/// The line, from 1, and a message, when the first line is no title or the second no description.
pub fn split(chapter: &str) -> Result<Opening<'_>, (usize, String)> {
    let (first, rest) = chapter.split_once('\n').unwrap_or((chapter, ""));
    let title = first.strip_prefix("# ").map(str::trim);
    let title = title.filter(|title| !title.is_empty()).ok_or_else(|| {
        let message = "no title; write `# Title` on line 1";
        (1, message.to_owned())
    })?;
    let (second, rest) = rest.split_once('\n').unwrap_or((rest, ""));
    let description = second
        .trim()
        .strip_prefix("<!-- description:")
        .and_then(|text| text.strip_suffix("-->"))
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let description = description.ok_or_else(|| {
        let message = "no description; write <!-- description: one sentence --> on line 2";
        (2, message.to_owned())
    })?;
    let (third, after) = rest.split_once('\n').unwrap_or((rest, ""));
    let keywords = third.trim().strip_prefix("<!-- keywords:");
    let keywords = keywords.and_then(|text| text.strip_suffix("-->"));
    Ok(Opening {
        title,
        description,
        keywords: keywords.unwrap_or_default().trim(),
        rest: if keywords.is_some() { after } else { rest },
    })
}

/// The head as HTML on one line.
pub fn html(page: &Page, opening: &Opening<'_>, content: &PageContent<'_>) -> String {
    let system = page.system();
    let class = system
        .map(|system| format!(" {}", system.name()))
        .unwrap_or_default();
    let title = markup::inline(opening.title);
    let id = id_of(opening.title);
    let mut html = format!(r#"<header class="head wide{class}">"#);
    if let Some(part) = &page.part {
        let square = if system.is_some() { " sq" } else { "" };
        html += &format!(r#"<p class="label{square}">{}</p>"#, markup::text(part));
    }
    html += &format!(r##"<h1 id="{id}"><a class="header" href="#{id}">{title}</a></h1>"##);
    html += &format!(
        r#"<p class="lead">{}</p>"#,
        markup::inline(opening.description)
    );
    html += &meta(content);
    html + "</header>"
}

fn meta(content: &PageContent<'_>) -> String {
    let kinds: Vec<Kind> = content.claims().map(|claim| claim.kind()).collect();
    let runs = kinds.iter().filter(|kind| kind.has_run()).count();
    let sources = kinds.iter().filter(|kind| kind.has_source()).count();
    let mut parts = Vec::new();
    if runs > 0 {
        let claims = markup::count(runs, "claim");
        parts.push(format!(
            r#"<span class="ev run">{claims} proven by a run</span>"#
        ));
    }
    if sources > 0 {
        let claims = match runs {
            0 => markup::count(sources, "claim"),
            _ => sources.to_string(),
        };
        parts.push(format!(
            r#"<span class="ev source">{claims} read in a source</span>"#
        ));
    }
    if let Some(days) = examples::days(&content.records()) {
        parts.push(format!("<span>last run {}</span>", markup::days(days)));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!(r#"<p class="meta">{}</p>"#, parts.join(" "))
}

/// The id that mdBook would give to a heading.
pub fn id_of(heading: &str) -> String {
    let heading = heading.trim().to_lowercase().replace('`', "");
    let kept = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}
