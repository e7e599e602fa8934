//! `{{#errors}}`: every error text that a page named `errors.md` explains, from all systems.

use pulldown_cmark::{Event, HeadingLevel, Parser, Tag, TagEnd};

use super::{fences, head};
use crate::{
    examples::System,
    markup,
    site::{Page, Site},
};

/// An error text and the heading that explains it.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    text: String,
    /// The id of its heading.
    id: String,
    /// The section it stands in.
    section: String,
}

/// The index as a list, sorted by text.
///
/// # Errors
/// A message when no page explains an error.
pub fn list(site: &Site, page: &Page) -> Result<String, String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for other in &site.pages {
        let system = other
            .system()
            .filter(|_| other.source.ends_with("errors.md"));
        if let Some(system) = system {
            let entries = entries(&other.text);
            lines.extend(entries.iter().map(|entry| line(page, other, system, entry)));
        }
    }
    if lines.is_empty() {
        return Err("no page SYSTEM/errors.md has a heading with a text in backticks".to_owned());
    }
    lines.sort();
    let lines: String = lines.into_iter().map(|(_, line)| line).collect();
    Ok(lines)
}

/// What an entry is sorted by, and its line.
fn line(page: &Page, other: &Page, system: System, entry: &Entry) -> (String, String) {
    let Entry { text, id, section } = entry;
    let code = markup::code(text);
    let address = format!("{}{}#{id}", page.to_root(), markup::slashes(&other.source));
    let title = system.title();
    let letters = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    (
        format!("{} {title}", letters.to_lowercase()),
        format!("- [{code}]({address}) <small>{title}: {section}</small>\n"),
    )
}

/// The texts in backticks in the headings of the third level.
fn entries(page: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let (mut section, mut heading) = (String::new(), String::new());
    let mut texts: Vec<String> = Vec::new();
    for event in Parser::new_ext(page, fences::options()) {
        match event {
            Event::Start(Tag::Heading { .. }) => {
                heading.clear();
                texts.clear();
            }
            Event::Code(code) => {
                heading.push_str(&code);
                texts.push(code.into_string());
            }
            Event::Text(text) => heading.push_str(&text),
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => section.clone_from(&heading),
            Event::End(TagEnd::Heading(HeadingLevel::H3)) => {
                let id = head::id_of(&heading);
                entries.extend(texts.drain(..).map(|text| Entry {
                    text,
                    id: id.clone(),
                    section: section.clone(),
                }));
            }
            _ => {}
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_of_a_heading_is_an_entry() {
        let page = "# E\n\n## It fails\n\n### `A: b` or `C`\n\nAs `d` says.\n\n### No text\n";
        let entry = |text: &str| Entry {
            text: text.to_owned(),
            id: "a-b-or-c".to_owned(),
            section: "It fails".to_owned(),
        };
        assert_eq!(entries(page), [entry("A: b"), entry("C")]);
    }
}
