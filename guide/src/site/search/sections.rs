//! A page as sections: what stands under a heading that a link can lead to.

use std::{cell::RefCell, sync::LazyLock};

use anyhow::Result;
use lol_html::{RewriteStrSettings, element, rewrite_str, text};
use regex::Regex;

/// `&amp;`, `&#10;`
static ENTITY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("&#?[0-9A-Za-z]+;").expect("a constant pattern"));

/// What a link of the results can lead to. The first section is the page's head.
#[derive(Debug, Default)]
pub struct Section {
    /// Empty for the head.
    pub id: String,
    /// As text, with entities as they are in HTML.
    pub heading: String,
    /// All text, with spaces for entities.
    pub text: String,
}

/// The sections of a rendered page. Its list of sources is none: it only repeats.
///
/// # Errors
/// The page can't be parsed.
pub fn of(html: &str) -> Result<Vec<Section>> {
    let sections = RefCell::new(vec![Section::default()]);
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!("main h2[id], main h3[id]", |heading| {
            sections.borrow_mut().push(Section {
                id: heading.get_attribute("id").unwrap_or_default(),
                ..Section::default()
            });
            Ok(())
        }))
        .append_element_content_handler(text!("main h1, main h2[id], main h3[id]", |chunk| {
            if let Some(section) = sections.borrow_mut().last_mut() {
                section.heading.push_str(chunk.as_str());
            }
            Ok(())
        }))
        .append_element_content_handler(text!("main", |chunk| {
            if let Some(section) = sections.borrow_mut().last_mut() {
                section.text.push_str(chunk.as_str());
                if chunk.last_in_text_node() {
                    section.text.push(' ');
                }
            }
            Ok(())
        }));
    rewrite_str(html, settings)?;
    let mut sections = sections.into_inner();
    sections.retain(|section| section.id != "sources");
    for section in &mut sections {
        section.text = ENTITY.replace_all(&section.text, " ").into_owned();
        section.heading = decoded(&section.heading);
    }
    Ok(sections)
}

/// The text that a reader sees of HTML without tags.
fn decoded(html: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
    ];
    let text = entities
        .iter()
        .fold(html.trim().to_owned(), |text, (entity, letter)| {
            text.replace(entity, letter)
        });
    text.replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_belongs_to_the_heading_before_it() {
        let html =
            "<body>x<main><h1>T</h1><p>a&#10;b</p><h2 id=i>H &lt;<code>c</code></h2>d</main>";
        let sections = of(html).unwrap();
        let seen = sections
            .iter()
            .map(|s| (s.id.as_str(), s.heading.as_str(), s.text.as_str()));
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [("", "T", "T a b "), ("i", "H <c", "H   c d ")]
        );
    }
}
