//! Listings as HTML, coloured while the site is built, so that no highlighter has to run in the browser.

use std::ops::Range;

use crate::{
    model::section::Listing,
    text::{grammar::Grammar, markup},
};

/// A fenced listing of a page. Lines that mdBook hides are left out: `# x` of Rust, and what begins with the
/// prefix of `hidelines=`, or with that of `book.toml` for the language.
pub fn fenced(
    grammar: &Grammar,
    listing: &Listing,
    prefix: impl Fn(&str) -> Option<String>,
) -> String {
    let mut words = listing
        .info
        .split([' ', ',', '\t'])
        .filter(|word| !word.is_empty());
    let language = words.next().unwrap_or_default();
    let own = words.find_map(|word| word.strip_prefix("hidelines="));
    let source = match (
        language,
        own.map(str::to_owned).or_else(|| prefix(language)),
    ) {
        ("rust", _) => without_hidden_rust(&listing.source),
        (_, Some(prefix)) => {
            let lines = listing.source.split_inclusive('\n');
            lines
                .filter(|line| !line.trim_start().starts_with(&prefix))
                .collect()
        }
        (_, None) => listing.source.clone(),
    };
    let html = self::listing(grammar, language, &source);
    format!("<pre><code>{html}</code></pre>")
}

/// Rust without the lines that begin with `# `, and with one `#` of those that begin with `##`.
fn without_hidden_rust(source: &str) -> String {
    let mut shown = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let code = line.trim_start();
        let margin = &line[..line.len() - code.len()];
        match code.strip_prefix('#') {
            Some(rest) if rest.starts_with('#') => {
                shown.push_str(margin);
                shown.push_str(rest);
            }
            Some(rest)
                if rest.trim_end_matches(['\r', '\n']).is_empty() || rest.starts_with(' ') => {}
            _ => shown.push_str(line),
        }
    }
    shown
}

/// A listing as HTML on one line, coloured when its language is known (Rust, TOML, YAML, JSON) and
/// plain otherwise.
pub fn listing(grammar: &Grammar, language: &str, source: &str) -> String {
    html(
        grammar,
        language,
        source,
        0..source.trim_end_matches('\n').len(),
        0,
    )
}

/// Some lines of a source, from 0, coloured as parts of the whole and moved to the left margin.
pub fn excerpt(grammar: &Grammar, language: &str, source: &str, lines: Range<usize>) -> String {
    let bytes = bytes_of(source, lines);
    let margin = margin(&source[bytes.clone()]);
    html(grammar, language, source, bytes, margin)
}

/// Where lines of a source begin and end, without the last line break.
fn bytes_of(source: &str, lines: Range<usize>) -> Range<usize> {
    let length = |lines: usize| -> usize {
        let lines = source.split_inclusive('\n').take(lines);
        lines.map(str::len).sum()
    };
    let (start, end) = (length(lines.start), length(lines.end));
    start..start + source[start..end].trim_end_matches('\n').len()
}

/// The indent that all lines have which are not blank.
fn margin(text: &str) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    filled.map(indent).min().unwrap_or(0)
}

/// Some bytes of a source, each line without its first `margin` blanks.
fn html(
    grammar: &Grammar,
    language: &str,
    source: &str,
    bytes: Range<usize>,
    margin: usize,
) -> String {
    let mut spans = Spans::default();
    let mut blanks = margin;
    for (class, part) in grammar.parts(language, source).iter() {
        let (start, end) = (part.start.max(bytes.start), part.end.min(bytes.end));
        let text = source.get(start..end).unwrap_or_default();
        for line in text.split_inclusive('\n') {
            let cut = line.bytes().take(blanks).take_while(|b| *b == b' ').count();
            blanks -= cut;
            if cut < line.len() {
                spans.push(class, &line[cut..]);
                blanks = if line.ends_with('\n') { margin } else { 0 };
            }
        }
    }
    spans.finish()
}

/// Some lines of a source, from 0, moved to the left margin.
pub fn dedented(source: &str, lines: Range<usize>) -> String {
    let text = &source[bytes_of(source, lines)];
    let margin = margin(text);
    let cut = |line: &str| line.get(margin..).unwrap_or_default().to_owned() + "\n";
    text.lines().map(cut).collect()
}

/// Coloured text; neighbours of one class share a span.
#[derive(Default)]
struct Spans {
    html: String,
    class: &'static str,
    text: String,
}

impl Spans {
    fn push(&mut self, class: &'static str, source: &str) {
        if class != self.class {
            self.close();
            self.class = class;
        }
        self.text.push_str(source);
    }

    fn close(&mut self) {
        let text = markup::text(&self.text);
        let html = match self.class {
            "" => text,
            class if !text.is_empty() => format!(r#"<span class="{class}">{text}</span>"#),
            _ => String::new(),
        };
        self.html.push_str(&html);
        self.text.clear();
    }

    fn finish(mut self) -> String {
        self.close();
        self.html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_is_coloured_as_the_look_says() {
        let html = listing(
            &Grammar::default(),
            "rust",
            "// why\n#[tokio::main]\nasync fn main() -> Result<()> {\n    let n = MAX + 3;\n    \
             println!(\"{n} & more\");\n\n    Ok(())\n}\n",
        );
        assert_eq!(
            html.replace("&#10;", "\n"),
            "<span class=\"c\">// why</span>\n<span class=\"m\">#[tokio::main]</span>\n\
             <span class=\"k\">async</span> <span class=\"k\">fn</span> main() -&gt; \
             <span class=\"t\">Result</span>&lt;()&gt; {\n    <span class=\"k\">let</span> n = MAX + \
             <span class=\"n\">3</span>;\n    <span class=\"m\">println!</span>(<span class=\"s\">\
             \"{n} &amp; more\"</span>);\n\n    <span class=\"t\">Ok</span>(())\n}"
        );
    }

    #[test]
    fn an_excerpt_is_coloured_as_part_of_the_whole_and_moved_to_the_margin() {
        let source = "fn a() {\n    b(\"\n      c\");\n\n    // d\n}\n";
        assert_eq!(
            excerpt(&Grammar::default(), "rust", source, 1..5).replace("&#10;", "\n"),
            "b(<span class=\"s\">\"\n  c\"</span>);\n\n<span class=\"c\">// d</span>"
        );
        assert_eq!(dedented(source, 1..5), "b(\"\n  c\");\n\n// d\n");
        assert_eq!(excerpt(&Grammar::default(), "rust", source, 5..6), "}");
    }

    #[test]
    fn every_language_is_coloured() {
        assert!(listing(&Grammar::default(), "toml", "[a]\nb = \"c\" # d").contains("class=\"s\""));
        assert!(listing(&Grammar::default(), "yaml", "a: \"b\" # c").contains("class=\"c\""));
        assert!(listing(&Grammar::default(), "json", "{\"a\": 1}").contains("class=\"n\""));
        assert_eq!(listing(&Grammar::default(), "text", "<a>"), "&lt;a&gt;");
    }
}
