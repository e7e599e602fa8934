//! A page as sections: what stands under a heading, or a term of a list, that a link can lead to.

use std::cell::RefCell;

use anyhow::Result;
use lol_html::{RewriteStrSettings, element, rewrite_str, text};

/// What begins a section.
const HEADINGS: &str = "main h2[id], main h3[id], main dt[id]";
/// The same with the page's title, and its part in the head.
const NAMES: &str = "main h1, main h2[id], main h3[id], main dt[id]";
/// What is no sentence of the page: its part and counts, marks and labels of proofs, buttons.
const FURNITURE: &str =
    "main .head .label, main .head .meta, main .ev, main .vh, main button, main .onpage";
/// Programs, commands, outputs, and the letters in drawings.
const CODE: &str = "main pre, main svg, main .proof header, main .proof figcaption";
/// What stands on lines of its own.
const BLOCKS: &str = "main p, main li, main td, main th, main dd, main dt, main h4, main tr, main pre, \
                      main figcaption, main summary";

/// What a link of the results can lead to. The first section is the page's head.
#[derive(Debug, Default, PartialEq)]
pub struct Section {
    /// Empty for the head.
    pub id: String,
    /// As a reader sees it.
    pub heading: String,
    /// Its sentences, a line for each paragraph, item or cell.
    pub prose: String,
    /// Programs and what they printed.
    pub code: String,
}

/// The sections of a rendered page. Its list of sources is none: it only repeats.
///
/// # Errors
/// The page can't be parsed.
pub fn of(html: &str) -> Result<Vec<Section>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Prose,
        Heading,
        Code,
        Nothing,
    }
    let sections = RefCell::new(vec![Section::default()]);
    // Handlers see a text in the order in which they stand here: the last decides, and hands it over.
    let kind = RefCell::new(Kind::Prose);
    let mark = |selector: &'static str, new: Kind| {
        let kind = &kind;
        text!(selector, move |_| {
            *kind.borrow_mut() = new;
            Ok(())
        })
    };
    let settings = RewriteStrSettings::new()
        .append_element_content_handler(element!(HEADINGS, |heading| {
            sections.borrow_mut().push(Section {
                id: heading.get_attribute("id").unwrap_or_default(),
                ..Section::default()
            });
            Ok(())
        }))
        .append_element_content_handler(element!(BLOCKS, |_| {
            if let Some(section) = sections.borrow_mut().last_mut() {
                section.prose.push('\n');
                section.code.push('\n');
            }
            Ok(())
        }))
        .append_element_content_handler(mark(NAMES, Kind::Heading))
        .append_element_content_handler(mark(CODE, Kind::Code))
        .append_element_content_handler(mark(FURNITURE, Kind::Nothing))
        .append_element_content_handler(text!("main", |chunk| {
            let kind = kind.replace(Kind::Prose);
            if let Some(section) = sections.borrow_mut().last_mut() {
                let text = match kind {
                    Kind::Prose => &mut section.prose,
                    Kind::Heading => &mut section.heading,
                    Kind::Code => &mut section.code,
                    Kind::Nothing => return Ok(()),
                };
                text.push_str(chunk.as_str());
            }
            Ok(())
        }));
    rewrite_str(html, settings)?;
    let mut sections = sections.into_inner();
    sections.retain(|section| section.id != "sources");
    for section in &mut sections {
        section.heading = seen(&section.heading).replace('\n', " ");
        section.prose = seen(&section.prose);
        section.code = without_entities(&section.code);
    }
    Ok(sections)
}

/// The text that a reader sees of HTML without tags, without empty lines.
fn seen(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for line in html.lines() {
        let mut words = line.split_whitespace();
        if let Some(first) = words.next() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(first);
            for word in words {
                text.push(' ');
                text.push_str(word);
            }
        }
    }
    if !text.contains('&') {
        return text;
    }
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ];
    let text = entities
        .iter()
        .fold(text, |text, (entity, letter)| text.replace(entity, letter));
    without_entities(&text)
}

/// A text with a space for each `&#10;`.
fn without_entities(text: &str) -> String {
    let mut parts = text.split('&');
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '#');
        match end.filter(|end| *end > 0 && part[*end..].starts_with(';')) {
            Some(end) => {
                kept.push(' ');
                kept.push_str(&part[end + 1..]);
            }
            None => {
                kept.push('&');
                kept.push_str(part);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(id: &str, heading: &str, prose: &str, code: &str) -> Section {
        Section {
            id: id.to_owned(),
            heading: heading.to_owned(),
            prose: prose.to_owned(),
            code: code.to_owned(),
        }
    }

    #[test]
    fn text_belongs_to_the_heading_before_it() {
        let html = "<body>x<main><h1>T</h1><p>a&amp;b <i class=ev>run</i></p><h2 id=i>H &lt;<code>c</code></h2>\
                    <p>d</p><pre>e <b>f</b></pre><dl><dt id=t>g</dt><dd>h</dd></dl></main>y";
        let sections = of(html).unwrap();
        let code = |section: &Section| section.code.trim().to_owned();
        let codes: Vec<_> = sections.iter().map(code).collect();
        assert_eq!(codes, ["", "e f", ""]);
        let sections: Vec<_> = sections
            .into_iter()
            .map(|s| section(&s.id, &s.heading, &s.prose, ""))
            .collect();
        let expected = [
            section("", "T", "a&b", ""),
            section("i", "H <c", "d", ""),
            section("t", "g", "h", ""),
        ];
        assert_eq!(sections, expected);
    }
}
