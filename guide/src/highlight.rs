//! Colours of listings, set while the site is built: spans with the classes `k` keyword, `t` type,
//! `m` macro and attribute, `s` string, `n` number, `c` comment.

use std::{
    cell::RefCell,
    ops::Range,
    sync::{Arc, LazyLock},
};

use tree_sitter::Language;
use tree_sitter_highlight::{HighlightConfiguration, HighlightEvent, Highlighter};

use crate::{markup, memo::Memo};

/// What the grammars call a part of speech, and the class it gets; no class: left plain.
const CLASSES: [(&str, &str); 12] = [
    ("keyword", "k"),
    ("type", "t"),
    ("type.builtin", ""),
    ("constructor", "t"),
    ("function.macro", "m"),
    ("attribute", "m"),
    ("string", "s"),
    ("string.special.key", "t"),
    ("number", "n"),
    ("constant", ""),
    ("property", ""),
    ("comment", "c"),
];

/// What the grammars call otherwise. The last pattern that matches wins: to Rust's grammar numbers
/// are constants, `Ok(…)` is a call, and a constant's name looks like a type.
const RUST_QUERY: &str = r#"
(integer_literal) @number
(float_literal) @number
((identifier) @constructor (#match? @constructor "^[A-Z][a-z]"))
((identifier) @constant (#match? @constant "^[A-Z][A-Z0-9_]*$"))
"#;
const TOML_QUERY: &str = "(table (bare_key) @type)\n(table (dotted_key) @type)\n";

static RUST: LazyLock<Option<HighlightConfiguration>> = LazyLock::new(|| {
    let query = format!("{}{RUST_QUERY}", tree_sitter_rust::HIGHLIGHTS_QUERY);
    grammar(tree_sitter_rust::LANGUAGE.into(), "rust", &query)
});
static TOML: LazyLock<Option<HighlightConfiguration>> = LazyLock::new(|| {
    let query = format!("{}{TOML_QUERY}", tree_sitter_toml_ng::HIGHLIGHTS_QUERY);
    grammar(tree_sitter_toml_ng::LANGUAGE.into(), "toml", &query)
});
static YAML: LazyLock<Option<HighlightConfiguration>> = LazyLock::new(|| {
    let query = tree_sitter_yaml::HIGHLIGHTS_QUERY;
    grammar(tree_sitter_yaml::LANGUAGE.into(), "yaml", query)
});
static JSON: LazyLock<Option<HighlightConfiguration>> = LazyLock::new(|| {
    let query = tree_sitter_json::HIGHLIGHTS_QUERY;
    grammar(tree_sitter_json::LANGUAGE.into(), "json", query)
});

fn grammar(language: Language, name: &str, query: &str) -> Option<HighlightConfiguration> {
    let mut grammar = HighlightConfiguration::new(language, name, query, "", "").ok()?;
    grammar.configure(&CLASSES.map(|(name, _)| name));
    Some(grammar)
}

fn grammar_of(language: &str) -> Option<&'static HighlightConfiguration> {
    match language {
        "rust" | "rs" => RUST.as_ref(),
        "toml" => TOML.as_ref(),
        "yaml" | "yml" => YAML.as_ref(),
        "json" => JSON.as_ref(),
        _ => None,
    }
}

thread_local! {
    static HIGHLIGHTER: RefCell<Highlighter> = RefCell::new(Highlighter::new());
}

/// A source cut into parts with their classes; neighbours differ in class.
type Parts = Vec<(&'static str, Range<usize>)>;

/// Parts of sources by language and source.
static PARTS: LazyLock<Memo<Arc<Parts>>> = LazyLock::new(Memo::default);

/// A listing as HTML on one line, coloured when its language is known (Rust, TOML, YAML, JSON) and
/// plain otherwise.
pub fn listing(language: &str, source: &str) -> String {
    html(language, source, 0..source.trim_end_matches('\n').len(), 0)
}

/// Some lines of a source, from 0, coloured as parts of the whole and moved to the left margin.
pub fn excerpt(language: &str, source: &str, lines: Range<usize>) -> String {
    let bytes = bytes_of(source, lines);
    let margin = margin(&source[bytes.clone()]);
    html(language, source, bytes, margin)
}

/// Some lines of a source, from 0, moved to the left margin.
pub fn dedented(source: &str, lines: Range<usize>) -> String {
    let text = &source[bytes_of(source, lines)];
    let margin = margin(text);
    let cut = |line: &str| line.get(margin..).unwrap_or_default().to_owned() + "\n";
    text.lines().map(cut).collect()
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
fn html(language: &str, source: &str, bytes: Range<usize>, margin: usize) -> String {
    let mut spans = Spans::default();
    let mut blanks = margin;
    for (class, part) in parts(language, source).iter() {
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

fn parts(language: &str, source: &str) -> Arc<Parts> {
    PARTS.get_or((language, source), || {
        let coloured = grammar_of(language).and_then(|grammar| coloured(grammar, source));
        Arc::new(coloured.unwrap_or_else(|| vec![("", 0..source.len())]))
    })
}

fn coloured(grammar: &HighlightConfiguration, source: &str) -> Option<Parts> {
    HIGHLIGHTER.with_borrow_mut(|highlighter| {
        let events = highlighter
            .highlight(grammar, source.as_bytes(), None, None, |_| None)
            .ok()?;
        let mut parts = Parts::new();
        let mut classes = vec![""];
        for event in events {
            match event.ok()? {
                HighlightEvent::HighlightStart(part) => classes.push(CLASSES[part.0].1),
                HighlightEvent::HighlightEnd => {
                    classes.pop();
                }
                HighlightEvent::Source { start, end } => {
                    let class = classes.last().copied().unwrap_or_default();
                    match parts.last_mut() {
                        Some((last, part)) if *last == class => part.end = end,
                        _ => parts.push((class, start..end)),
                    }
                }
            }
        }
        Some(parts)
    })
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

/// Rust with its comments and the contents of its strings blanked, for those who look for names in
/// it. Every byte that is left, and every line, stands where it stood.
pub fn rust_code_only(source: &str) -> String {
    let mut code = source.as_bytes().to_vec();
    for (class, part) in parts("rust", source).iter() {
        let blank = match *class {
            "c" => part.clone(),
            "s" => content_of(source, part.clone()),
            _ => continue,
        };
        let letters = code[blank].iter_mut().filter(|byte| **byte != b'\n');
        letters.for_each(|byte| *byte = b' ');
    }
    String::from_utf8_lossy(&code).into_owned()
}

/// What stands between the quotes of a string; nothing of a character.
fn content_of(source: &str, string: Range<usize>) -> Range<usize> {
    let text = &source[string.clone()];
    match (text.find(['"', '\'']), text.rfind('"')) {
        (Some(open), Some(close)) if text[open..].starts_with('"') && open < close => {
            string.start + open + 1..string.start + close
        }
        _ => string.start..string.start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_is_coloured_as_the_look_says() {
        let html = listing(
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
            excerpt("rust", source, 1..5).replace("&#10;", "\n"),
            "b(<span class=\"s\">\"\n  c\"</span>);\n\n<span class=\"c\">// d</span>"
        );
        assert_eq!(dedented(source, 1..5), "b(\"\n  c\");\n\n// d\n");
        assert_eq!(excerpt("rust", source, 5..6), "}");
    }

    #[test]
    fn every_grammar_loads() {
        for language in ["rust", "toml", "yaml", "json"] {
            assert!(grammar_of(language).is_some(), "{language}");
        }
        assert!(listing("toml", "[a]\nb = \"c\" # d").contains("class=\"s\""));
        assert!(listing("yaml", "a: \"b\" # c").contains("class=\"c\""));
        assert!(listing("json", "{\"a\": 1}").contains("class=\"n\""));
        assert_eq!(listing("text", "<a>"), "&lt;a&gt;");
    }

    #[test]
    fn code_stays_in_its_place() {
        let source = "a(\"b\\n\nc\", r#\"d\"#, 'e'); // f\n/* g\n */ h(b\"é\", '\\n');\n";
        assert_eq!(
            rust_code_only(source),
            "a(\"   \n \", r#\" \"#, 'e');     \n    \n    h(b\"  \", '\\n');\n"
        );
    }
}
