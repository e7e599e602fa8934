//! The head of a page: the part's name, the title, the description as its lead, and what its
//! claims rest on.

use crate::{
    model::{ledger::Kind, page::Head, record},
    text::markup,
};

use super::PageContent;

/// The head: markup around the title, which mdBook renders as any heading.
pub fn html(content: &PageContent<'_>, head: &Head) -> String {
    let page = content.page;
    let system = page.system();
    let class = system
        .map(|system| format!(" {}", system.name()))
        .unwrap_or_default();
    let mut html = format!(r#"<header class="head wide{class}">"#);
    if let Some(part) = &page.part {
        let square = if system.is_some() { " sq" } else { "" };
        html += &format!(r#"<p class="label{square}">{}</p>"#, markup::text(part));
    }
    let lead = markup::inline(&head.description);
    let meta = meta(content);
    format!(
        "{html}\n\n# {}\n\n<p class=\"lead\">{lead}</p>{meta}</header>",
        head.title
    )
}

fn meta(content: &PageContent<'_>) -> String {
    let kinds: Vec<Kind> = content.claims.iter().map(|claim| claim.kind()).collect();
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
    if let Some(days) = record::days(content.records()) {
        parts.push(format!("<span>last run {}</span>", markup::days(days)));
    }
    if parts.is_empty() {
        return String::new();
    }
    format!(r#"<p class="meta">{}</p>"#, parts.join(" "))
}

/// The id that mdBook gives to a heading.
pub fn id_of(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}
