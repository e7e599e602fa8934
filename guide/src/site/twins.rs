//! The Markdown twin of every page, at the same address with `.md`, and `llms.txt`, which lists them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::Range,
    path::Path,
    sync::LazyLock,
};

use anyhow::{Context, Result};
use mdbook_driver::config::Config;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use rayon::prelude::*;
use regex::{Captures, Regex};

use crate::{
    expand::{Expanded, heading_id},
    model::{address::Address, book::Book},
    text::{
        markdown::options,
        problem::{Complaint, Problem, Problems},
        splice::splice,
    },
};

/// A tag or a comment.
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?s)<!--.*?-->|<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"']|"[^"]*"|'[^']*')*)>"#)
        .expect("a constant pattern")
});

static BLANK_LINES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\n[ \t]*(?:\n[ \t]*){2,}").expect("a constant pattern"));

/// A page as Markdown, its links not yet those of the twins.
struct Twin {
    text: String,
    /// Where the target of each link stands in the text.
    links: Vec<Range<usize>>,
    /// The ids of its headings, as its readers' programs make them.
    headings: BTreeSet<String>,
}

/// Writes the twins, made from the pages as plain Markdown in the order of the book, and `llms.txt` into
/// the folder of the finished site.
///
/// # Errors
/// [`Problems`] for links of a twin that lead nowhere, or a file that cannot be written.
pub fn write(book: &Book, config: &Config, markdown: &[Expanded], folder: &Path) -> Result<()> {
    let pages = book.pages.par_iter().zip(markdown);
    let twins =
        pages.map(|(page, expanded)| (page.address.twin(), Twin::of(without_html(&expanded.text))));
    let twins: BTreeMap<Address, Twin> = twins.collect();
    let problems = book.pages.par_iter().map(|page| {
        let address = page.address.twin();
        let Some(twin) = twins.get(&address) else {
            return Ok(Vec::new());
        };
        let mut problems = Vec::new();
        let mut edits = Vec::new();
        for range in &twin.links {
            let link = &twin.text[range.clone()];
            match resolve(&address, link, &twins, folder) {
                Ok(Some(target)) => edits.push((range.clone(), target)),
                Ok(None) => {}
                Err(complaint) => {
                    let target = link.split('#').next().unwrap_or_default();
                    problems.push(complaint.at(book.file(page), page.text.line_of(target)));
                }
            }
        }
        save(&folder.join(&address), &splice(&twin.text, edits))?;
        Ok(problems)
    });
    let problems: Vec<Vec<Problem>> = problems.collect::<Result<_>>()?;
    Problems::check(problems.into_iter().flatten().collect())?;
    save(&folder.join("llms.txt"), &list(book, config))
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The site in one file for programs that read: <https://llmstxt.org>.
fn list(book: &Book, config: &Config) -> String {
    let site = config.html_config().and_then(|html| html.site_url);
    let site = site
        .filter(|url| url.starts_with("https://"))
        .unwrap_or_default();
    let mut text = format!(
        "# {}\n\n> {}\n\nEvery page of the site has a Markdown twin: the same address with `.md` in place of \
         `.html`. Programs, commands and what they printed are fenced blocks; `[run 1]`, `[source 1]` behind a \
         sentence is the number of its proof in the list at the page's end.\n",
        config.book.title.as_deref().unwrap_or_default(),
        config.book.description.as_deref().unwrap_or_default(),
    );
    let mut part = None;
    for page in &book.pages {
        if page.part.as_deref() != part {
            part = page.part.as_deref();
            text += &format!("\n## {}\n\n", part.unwrap_or_default());
        }
        let start = if part.is_some() { "" } else { "\n" };
        let (name, twin, description) = (&page.name, page.address.twin(), page.description());
        text += &format!("{start}- [{name}]({site}{twin}): {description}\n");
    }
    text
}

impl Twin {
    /// Reads the links and headings of a text.
    fn of(text: String) -> Self {
        let (mut links, mut headings) = (Vec::new(), BTreeSet::new());
        let mut heading: Option<String> = None;
        for (event, range) in Parser::new_ext(&text, options()).into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    if let Some(at) = text[range.clone()].rfind(&*dest_url) {
                        let at = range.start + at;
                        links.push(at..at + dest_url.len());
                    }
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    headings.extend(heading.take().map(|text| heading_id(&text)));
                }
                _ => {}
            }
        }
        Self {
            text,
            links,
            headings,
        }
    }
}

/// A page of Markdown in which the words and links of raw HTML stand as Markdown.
fn without_html(markdown: &str) -> String {
    let mut edits = Vec::new();
    let mut html = String::new();
    let mut block = 0..0;
    for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
        match event {
            Event::Start(Tag::HtmlBlock) => block = range,
            Event::Html(piece) => html.push_str(&piece),
            Event::InlineHtml(piece) => edits.push((range, words(&piece).trim().to_owned())),
            Event::End(TagEnd::HtmlBlock) => {
                let text = format!("\n\n{}\n\n", words(&html).trim());
                edits.push((block.clone(), text));
                html.clear();
            }
            _ => {}
        }
    }
    let text = splice(markdown, edits);
    let text = BLANK_LINES.replace_all(text.trim(), "\n\n");
    format!("{text}\n")
}

/// HTML as Markdown: headings, paragraphs, links, images and code; other tags are dropped.
fn words(html: &str) -> String {
    let mut links = Vec::new();
    let text = TAG.replace_all(html, |tag: &Captures<'_>| {
        let closes = tag.get(1).is_some_and(|slash| !slash.is_empty());
        let name = tag.get(2).map_or("", |name| name.as_str());
        let attributes = tag.get(3).map_or("", |rest| rest.as_str());
        match (name, closes) {
            ("a", false) => {
                links.push(attribute(attributes, "href"));
                "[".to_owned()
            }
            ("a", true) => format!("]({})", links.pop().unwrap_or_default()),
            ("img", _) => {
                let (alt, source) = (attribute(attributes, "alt"), attribute(attributes, "src"));
                format!("![{alt}]({source})")
            }
            ("h2" | "h3" | "h4", false) => {
                let level = name[1..].parse().unwrap_or(3);
                format!("\n\n{} ", "#".repeat(level))
            }
            ("code", _) => "`".to_owned(),
            ("b" | "strong", _) => "**".to_owned(),
            ("em" | "i", _) => "*".to_owned(),
            ("br" | "p" | "li" | "div" | "section" | "figure" | "figcaption", _)
            | ("h2" | "h3" | "h4", true) => "\n\n".to_owned(),
            _ => String::new(),
        }
    });
    text.into_owned()
}

fn attribute(attributes: &str, name: &str) -> String {
    let found = attributes.split_once(&format!("{name}=\""));
    let value = found.and_then(|(_, rest)| rest.split('"').next());
    value.unwrap_or_default().to_owned()
}

/// What a link of a twin becomes, when it does not stay as it is: it leads to a twin, and to a
/// heading or the page's beginning, since Markdown has no other anchors.
fn resolve(
    page: &Address,
    link: &str,
    twins: &BTreeMap<Address, Twin>,
    folder: &Path,
) -> Result<Option<String>, Complaint> {
    let Some((file, fragment)) = page.resolve(link)? else {
        return Ok(None);
    };
    let (path, _) = link.split_once('#').unwrap_or((link, ""));
    let other = twins.get(&file.twin());
    if other.is_none() && !folder.join(&file).is_file() {
        return Err(format!(
            "dead link `{link}` of the Markdown twin: no such page or file; correct or remove it"
        )
        .into());
    }
    let path = match (other, path.strip_suffix(".html")) {
        (Some(_), Some(stem)) => format!("{stem}.md"),
        _ => path.to_owned(),
    };
    let keeps = other.is_some_and(|twin| twin.headings.contains(&fragment));
    let target = match (keeps, path.is_empty()) {
        (true, _) => format!("{path}#{fragment}"),
        // The page itself.
        (false, true) => page.name().to_owned(),
        (false, false) => path,
    };
    Ok((target != link).then_some(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_html_becomes_words_and_links() {
        let page = "A <b>b</b>.\n\n<div class=\"x\">\n<section><h3><a href=\"k/o.html\">K</a></h3>*Drawing: \
                    d.*<p>A log.</p></section>\n</div>\n<!-- no -->\n\n```html\n<p>\n```\n";
        assert_eq!(
            without_html(page),
            "A **b**.\n\n### [K](k/o.html)\n\n*Drawing: d.*\n\nA log.\n\n```html\n<p>\n```\n"
        );
        let image =
            "<figure><img src=\"../i.png\" alt=\"The page.\"><figcaption>F</figcaption></figure>\n";
        assert_eq!(without_html(image), "![The page.](../i.png)\n\nF\n");
    }

    #[test]
    fn a_link_keeps_its_heading_and_loses_other_anchors() {
        let twin = |address: &str, text: &str| (Address::from(address), Twin::of(text.to_owned()));
        let twins = BTreeMap::from([
            twin("kafka/consume.md", "## How it works\n"),
            twin("index.md", ""),
        ]);
        let page = Address::from("kafka/consume.md");
        let of = |link: &str| resolve(&page, link, &twins, Path::new("/nowhere"));
        assert_eq!(of("consume.md#how-it-works"), Ok(None));
        assert_eq!(of("#how-it-works"), Ok(None));
        assert_eq!(of("#proof-x"), Ok(Some("consume.md".to_owned())));
        assert_eq!(of("../index.html#x"), Ok(Some("../index.md".to_owned())));
        assert_eq!(of("https://example.org/a#b"), Ok(None));
        assert!(
            of("gone.md")
                .unwrap_err()
                .to_string()
                .starts_with("dead link `gone.md`")
        );
    }
}
