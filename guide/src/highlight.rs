//! Colours of listings, set while the site is built: spans with the classes `k` keyword, `t` type,
//! `m` macro and attribute, `s` string, `n` number, `c` comment.

use std::{cell::RefCell, ops::Range, sync::LazyLock};

use tree_sitter::{Language, Node, Parser};
use tree_sitter_highlight::{HighlightConfiguration, HighlightEvent, Highlighter};

use crate::markup;

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

/// A listing as HTML on one line, coloured when its language is known (Rust, TOML, YAML, JSON) and
/// plain otherwise.
pub fn listing(language: &str, source: &str) -> String {
    let source = source.trim_end_matches('\n');
    let coloured = grammar_of(language).and_then(|grammar| coloured(grammar, source));
    coloured.unwrap_or_else(|| markup::text(source))
}

fn coloured(grammar: &HighlightConfiguration, source: &str) -> Option<String> {
    HIGHLIGHTER.with_borrow_mut(|highlighter| {
        let events = highlighter
            .highlight(grammar, source.as_bytes(), None, None, |_| None)
            .ok()?;
        let mut spans = Spans::default();
        let mut classes = vec![""];
        for event in events {
            match event.ok()? {
                HighlightEvent::HighlightStart(part) => classes.push(CLASSES[part.0].1),
                HighlightEvent::HighlightEnd => {
                    classes.pop();
                }
                HighlightEvent::Source { start, end } => {
                    let class = classes.last().copied().unwrap_or_default();
                    spans.push(class, source.get(start..end)?);
                }
            }
        }
        Some(spans.finish())
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
    let mut parser = Parser::new();
    let tree = parser
        .set_language(&tree_sitter_rust::LANGUAGE.into())
        .ok()
        .and_then(|()| parser.parse(source, None));
    let Some(tree) = tree else {
        return source.to_owned();
    };
    let mut code = source.as_bytes().to_vec();
    for range in comments_and_strings(tree.root_node()) {
        let letters = code[range].iter_mut().filter(|byte| **byte != b'\n');
        letters.for_each(|byte| *byte = b' ');
    }
    String::from_utf8_lossy(&code).into_owned()
}

fn comments_and_strings(root: Node<'_>) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        match node.kind() {
            "line_comment" | "block_comment" | "string_content" | "escape_sequence" => {
                ranges.push(node.byte_range());
            }
            "char_literal" => {}
            _ => {
                let mut cursor = node.walk();
                open.extend(node.children(&mut cursor));
            }
        }
    }
    ranges
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
