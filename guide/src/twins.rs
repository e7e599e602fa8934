//! The Markdown twin of every page, at the same address with `.md`, and `llms.txt`, which lists them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use anyhow::{Context, Result};
use mdbook_driver::{MDBook, book::BookItem};
use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use rayon::prelude::*;
use regex::{Captures, Regex};

use crate::{
    errors::{Problem, Problems, line_of},
    links, markup,
    preprocess::{PageFacts, heading_id, options},
};

/// A tag or a comment.
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?s)<!--.*?-->|<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"']|"[^"]*"|'[^']*')*)>"#)
        .expect("a constant pattern")
});

static BLANK_LINES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\n[ \t]*(?:\n[ \t]*){2,}").expect("a constant pattern"));

/// Facts of every page by its address.
type Facts = BTreeMap<String, PageFacts>;

/// The address of the twin of a page: `kafka/produce.md` of `kafka/produce.html`.
pub fn address(page: &str) -> String {
    match page.strip_suffix(".html") {
        Some(stem) => format!("{stem}.md"),
        None => page.to_owned(),
    }
}

/// Writes the twins, made from the pages as plain Markdown by their files, and `llms.txt` into the
/// folder of the finished site.
///
/// # Errors
/// [`Problems`] for links of a twin that lead nowhere, or a file that cannot be written.
pub fn write(
    book: &MDBook,
    markdown: &[(PathBuf, String)],
    folder: &Path,
    facts: &Facts,
) -> Result<()> {
    let texts = markdown.par_iter().map(|(source, text)| {
        let twin = address(&markup::slashes(source));
        (twin, without_html(text))
    });
    let texts: BTreeMap<String, String> = texts.collect();
    let headings = texts.iter().map(|(address, text)| {
        let headings: BTreeSet<String> = headings(text).collect();
        (address.as_str(), headings)
    });
    let headings: BTreeMap<&str, BTreeSet<String>> = headings.collect();
    let (root, src) = (&book.root, &book.config.book.src);
    let problems = texts.par_iter().map(|(twin, text)| {
        let (text, wrong) = with_links(text, |link| resolve(twin, link, &headings, folder));
        save(&folder.join(twin), &text)?;
        let file = src.join(twin);
        let source = fs::read_to_string(root.join(&file)).unwrap_or_default();
        let problem = |(link, message): (String, String)| {
            let link = link.split('#').next().unwrap_or_default();
            Problem::new(&file, line_of(&source, link), message)
        };
        Ok(wrong.into_iter().map(problem).collect())
    });
    let problems: Vec<Vec<Problem>> = problems.collect::<Result<_>>()?;
    let problems = problems.into_iter().flatten().collect();
    Problems::check(problems)?;
    save(&folder.join("llms.txt"), &list(book, facts))
}

fn save(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The site in one file for programs that read: <https://llmstxt.org>.
fn list(book: &MDBook, facts: &Facts) -> String {
    let config = &book.config;
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
    let mut in_part = false;
    for item in book.iter() {
        match item {
            BookItem::PartTitle(title) => {
                text += &format!("\n## {title}\n\n");
                in_part = true;
            }
            BookItem::Chapter(chapter) => {
                let Some(source) = &chapter.source_path else {
                    continue;
                };
                let start = if in_part { "" } else { "\n" };
                let (name, twin) = (&chapter.name, markup::slashes(source));
                let page = facts.get(&markup::slashes(&source.with_extension("html")));
                let description = page.map_or("", |page| &page.description);
                text += &format!("{start}- [{name}]({site}{twin}): {description}\n");
            }
            BookItem::Separator => {}
        }
    }
    text
}

/// A page of Markdown in which the words and links of raw HTML stand as Markdown.
fn without_html(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut copied = 0;
    let mut html = String::new();
    let mut block = 0..0;
    for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
        match event {
            Event::Start(Tag::HtmlBlock) => block = range,
            Event::Html(piece) => html.push_str(&piece),
            Event::InlineHtml(piece) => {
                text.push_str(&markdown[copied..range.start]);
                text.push_str(words(&piece).trim());
                copied = range.end;
            }
            Event::End(TagEnd::HtmlBlock) => {
                text.push_str(&markdown[copied..block.start]);
                text.push_str(&format!("\n\n{}\n\n", words(&html).trim()));
                copied = block.end;
                html.clear();
            }
            _ => {}
        }
    }
    text.push_str(&markdown[copied..]);
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

/// The ids of the headings of a page, as its readers' programs make them.
fn headings(markdown: &str) -> impl Iterator<Item = String> {
    let mut heading: Option<String> = None;
    Parser::new_ext(markdown, options()).filter_map(move |event| {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => return heading.take().map(|text| heading_id(&text)),
            _ => {}
        }
        None
    })
}

/// A page with other targets for its links, and the links that have none.
fn with_links(
    markdown: &str,
    resolve: impl Fn(&str) -> Result<Option<String>, String>,
) -> (String, Vec<(String, String)>) {
    let mut text = String::with_capacity(markdown.len());
    let mut wrong = Vec::new();
    let mut copied = 0;
    for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
        let (Event::Start(Tag::Link { dest_url, .. }) | Event::Start(Tag::Image { dest_url, .. })) =
            event
        else {
            continue;
        };
        match resolve(&dest_url) {
            Err(message) => wrong.push((dest_url.into_string(), message)),
            Ok(None) => {}
            Ok(Some(target)) => {
                let Some(at) = markdown[range.clone()].rfind(&*dest_url) else {
                    continue;
                };
                let at = range.start + at;
                text.push_str(&markdown[copied..at]);
                text.push_str(&target);
                copied = at + dest_url.len();
            }
        }
    }
    text.push_str(&markdown[copied..]);
    (text, wrong)
}

/// What a link of a twin becomes, when it does not stay as it is: it leads to a twin, and to a
/// heading or the page's beginning, since Markdown has no other anchors.
fn resolve(
    twin: &str,
    link: &str,
    headings: &BTreeMap<&str, BTreeSet<String>>,
    folder: &Path,
) -> Result<Option<String>, String> {
    let Some((file, fragment)) = links::target(twin, link)? else {
        return Ok(None);
    };
    let (path, _) = link.split_once('#').unwrap_or((link, ""));
    let other = address(&file);
    let is_page = headings.contains_key(other.as_str());
    if !is_page && !folder.join(&file).is_file() {
        return Err(format!(
            "dead link `{link}` of the Markdown twin: no such page or file; correct or remove it"
        ));
    }
    let path = if is_page && path.ends_with(".html") {
        address(path)
    } else {
        path.to_owned()
    };
    let keeps = headings
        .get(other.as_str())
        .is_some_and(|ids| ids.contains(&fragment));
    let target = match (keeps, path.is_empty()) {
        (true, _) => format!("{path}#{fragment}"),
        // The page itself.
        (false, true) => twin.rsplit('/').next().unwrap_or(twin).to_owned(),
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
        let ids = BTreeSet::from(["how-it-works".to_owned()]);
        let headings = BTreeMap::from([("kafka/consume.md", ids), ("index.md", BTreeSet::new())]);
        let of = |link: &str| resolve("kafka/consume.md", link, &headings, Path::new("/nowhere"));
        assert_eq!(of("consume.md#how-it-works"), Ok(None));
        assert_eq!(of("#how-it-works"), Ok(None));
        assert_eq!(of("#proof-x"), Ok(Some("consume.md".to_owned())));
        assert_eq!(of("../index.html#x"), Ok(Some("../index.md".to_owned())));
        assert_eq!(of("https://example.org/a#b"), Ok(None));
        assert!(
            of("gone.md")
                .unwrap_err()
                .starts_with("dead link `gone.md`")
        );
    }
}
