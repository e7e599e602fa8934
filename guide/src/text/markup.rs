//! Text as HTML that survives Markdown: escaped, and without a line break.

use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, html};

/// Escapes text for the inside of an element. A line feed becomes `&#10;`, so that an empty line
/// of a program does not end the HTML block; `{{` is hidden from mdBook's own directives.
pub fn text(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 4);
    let mut previous = '\0';
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '\n' => html.push_str("&#10;"),
            '{' if previous == '{' => html.push_str("&#123;"),
            _ => html.push(c),
        }
        previous = c;
    }
    html
}

/// Escapes text for an attribute in double quotes.
pub fn attribute(value: &str) -> String {
    text(value).replace('"', "&quot;")
}

/// A path in which the line may break after each slash and underscore.
pub fn path(path: &str) -> String {
    text(path).replace('/', "/<wbr>")
}

/// Inline Markdown (a caption, a title) as HTML without its paragraph.
pub fn inline(markdown: &str) -> String {
    let mut html = String::new();
    let options = Options::ENABLE_SMART_PUNCTUATION;
    html::push_html(&mut html, Parser::new_ext(markdown.trim(), options));
    let html = html.trim().replace('\n', " ");
    let html = html.strip_prefix("<p>").unwrap_or(&html);
    html.strip_suffix("</p>").unwrap_or(html).to_owned()
}

/// Text as code in Markdown, between more backticks than it holds.
pub fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let ticks = "`".repeat(longest + 1);
    let blank = if longest > 0 { " " } else { "" };
    format!("{ticks}{blank}{text}{blank}{ticks}")
}

/// Inline Markdown without its marks: the words alone.
pub fn plain(markdown: &str) -> String {
    let words = Parser::new(markdown).filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.into_string()),
        Event::SoftBreak => Some(" ".to_owned()),
        _ => None,
    });
    words.collect()
}

/// A path as addresses write it.
pub fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

/// `1 claim`, `2 claims`.
pub fn count(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

/// A date as the guide writes it: `23 November 2026`.
pub fn date(date: toml::value::Date) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let month = MONTHS.get(usize::from(date.month) - 1).unwrap_or(&"?");
    format!("{} {month} {}", date.day, date.year)
}

/// Two days, the second only when it is another one: `23 November 2026`, `2 November 2026 to 23
/// November 2026`.
pub fn days((first, last): (toml::value::Date, toml::value::Date)) -> String {
    match first == last {
        true => date(first),
        false => format!("{} to {}", date(first), date(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_holds_no_line_break_and_no_directive() {
        assert_eq!(
            text("a\n\n<b> & {{#include x}}"),
            "a&#10;&#10;&lt;b&gt; &amp; {&#123;#include x}}"
        );
        assert_eq!(text("{{{"), "{&#123;&#123;");
    }

    #[test]
    fn code_holds_backticks() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a ``b`` c"), "``` a ``b`` c ```");
    }

    #[test]
    fn inline_markdown_loses_its_paragraph() {
        assert_eq!(
            inline("**B joins.** `x`"),
            "<strong>B joins.</strong> <code>x</code>"
        );
    }
}
