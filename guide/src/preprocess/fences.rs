//! Colours the fenced listings of a page, so that no highlighter has to run in the browser.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::highlight;

/// Replaces every fenced block by a coloured `<pre>`. Blocks with a directive inside, `{{#include`
/// for one, are left to mdBook.
pub fn colour(markdown: &str) -> String {
    let mut html = String::with_capacity(markdown.len());
    let mut copied = 0;
    let mut open: Option<(String, String)> = None;
    for (event, range) in Parser::new_ext(markdown, options()).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                open = Some((language(&info), String::new()));
            }
            Event::Text(text) => {
                if let Some((_, source)) = &mut open {
                    source.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => {
                let block = open.take().filter(|(_, source)| !source.contains("{{#"));
                if let Some((language, source)) = block {
                    html.push_str(&markdown[copied..range.start]);
                    let listing = highlight::listing(&language, &source);
                    html.push_str(&format!("<pre><code>{listing}</code></pre>"));
                    copied = range.end;
                }
            }
            _ => {}
        }
    }
    html.push_str(&markdown[copied..]);
    html
}

fn language(info: &str) -> String {
    let mut words = info.split([' ', ',', '\t']);
    words.next().unwrap_or_default().to_owned()
}

/// The dialect that mdBook reads.
pub fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_GFM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_becomes_one_line_of_html() {
        let markdown =
            "a\n\n- b\n\n  ```toml,x\n  [c]\n\n  d = 1\n  ```\n\n```text\n{{#include x}}\n```\n";
        let html = colour(markdown);
        assert!(
            html.contains("  <pre><code>[<span class=\"t\">c</span>]&#10;&#10;d"),
            "{html}"
        );
        assert!(html.ends_with("```text\n{{#include x}}\n```\n"), "{html}");
    }
}
