//! `{{#errors}}`: every error text that a page named `errors.md` explains, from all systems.

use super::head;
use crate::{
    model::{book::Book, page::Page, program::System, section::Heading},
    text::{markup, problem::Complaint},
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
pub fn list(book: &Book, page: &Page) -> Result<String, Complaint> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for other in &book.pages {
        let system = other
            .system()
            .filter(|_| other.source.ends_with("errors.md"));
        if let Some(system) = system {
            let entries = entries(&other.reading.headings);
            lines.extend(entries.iter().map(|entry| line(page, other, system, entry)));
        }
    }
    if lines.is_empty() {
        return Err("no page SYSTEM/errors.md has a heading with a text in backticks".into());
    }
    lines.sort();
    let lines: String = lines.into_iter().map(|(_, line)| line).collect();
    Ok(lines)
}

/// What an entry is sorted by, and its line.
fn line(page: &Page, other: &Page, system: System, entry: &Entry) -> (String, String) {
    let Entry { text, id, section } = entry;
    let code = markup::code(text);
    let address = format!(
        "{}{}#{id}",
        page.address.to_root(),
        markup::slashes(&other.source)
    );
    let title = system.title();
    let letters = text.trim_start_matches(|c: char| !c.is_alphanumeric());
    (
        format!("{} {title}", letters.to_lowercase()),
        format!("- [{code}]({address}) <small>{title}: {section}</small>\n"),
    )
}

/// The texts in backticks in the headings of the third level.
fn entries(headings: &[Heading]) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut section = "";
    for heading in headings {
        match heading.level {
            2 => section = &heading.text,
            3 => entries.extend(heading.codes.iter().map(|text| Entry {
                text: text.clone(),
                id: head::id_of(&heading.text),
                section: section.to_owned(),
            })),
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
        let heading = |level, text: &str, codes: &[&str]| Heading {
            level,
            text: text.to_owned(),
            codes: codes.iter().map(|code| (*code).to_owned()).collect(),
            line: 1,
        };
        let headings = [
            heading(1, "E", &[]),
            heading(2, "It fails", &[]),
            heading(3, "A: b or C", &["A: b", "C"]),
            heading(3, "No text", &[]),
        ];
        let entry = |text: &str| Entry {
            text: text.to_owned(),
            id: "a-b-or-c".to_owned(),
            section: "It fails".to_owned(),
        };
        assert_eq!(entries(&headings), [entry("A: b"), entry("C")]);
    }
}
