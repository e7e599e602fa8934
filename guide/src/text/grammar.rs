//! What the letters of a listing are: keywords, types, strings, comments. Classes: `k` keyword, `t` type,
//! `m` macro and attribute, `s` string, `n` number, `c` comment.

use std::{
    cell::RefCell,
    convert::Infallible,
    ops::Range,
    sync::{Arc, LazyLock},
};

use tree_sitter::Language;
use tree_sitter_highlight::{HighlightConfiguration, HighlightEvent, Highlighter};

use super::memo::Memo;

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
pub type Parts = Vec<(&'static str, Range<usize>)>;

/// Tells the parts of sources, and remembers them.
#[derive(Clone, Default)]
pub struct Grammar(Arc<Memo<Arc<Parts>>>);

impl Grammar {
    /// The parts of a source; one part without a class when its language is not known (Rust, TOML, YAML and
    /// JSON are).
    pub fn parts(&self, language: &str, source: &str) -> Arc<Parts> {
        let parts = self.0.try_get_or((language, source), || {
            let coloured = grammar_of(language).and_then(|grammar| coloured(grammar, source));
            Ok::<_, Infallible>(Arc::new(
                coloured.unwrap_or_else(|| vec![("", 0..source.len())]),
            ))
        });
        parts.unwrap_or_else(|never| match never {})
    }

    /// Forgets the sources that nobody has asked for since the last time.
    pub fn forget_unused(&self) {
        self.0.forget_unused();
    }

    /// Rust with its comments and the contents of its strings blanked, for those who look for names in
    /// it. Every byte that is left, and every line, stands where it stood.
    pub fn rust_code_only(&self, source: &str) -> String {
        let mut code = source.as_bytes().to_vec();
        for (class, part) in self.parts("rust", source).iter() {
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

/// Rust with its comments and the contents of its strings blanked: see [`Grammar::rust_code_only`].
pub fn rust_code_only(source: &str) -> String {
    Grammar::default().rust_code_only(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grammar_loads() {
        for language in ["rust", "toml", "yaml", "json"] {
            assert!(grammar_of(language).is_some(), "{language}");
        }
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
