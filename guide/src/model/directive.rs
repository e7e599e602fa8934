//! The directives of a page: `{{#name arguments}}`, parsed once, with their place.

use std::ops::Range;

use super::include::MDBOOK;
use crate::text::problem::Complaint;

/// What the guide expands.
pub const OURS: [&str; 10] = [
    "proof",
    "ev",
    "ledger",
    "drawing",
    "matrix",
    "errors",
    "guarantee",
    "stalls",
    "sim",
    "differences",
];

/// A directive that the guide expands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Where it stands in the text that it was read from, braces included.
    pub range: Range<usize>,
    /// The line of the page's file.
    pub line: usize,
    /// What it stands for.
    pub what: What,
    /// Those in its caption.
    pub inside: Vec<Directive>,
}

/// What a directive stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The panel of a program, or of the lines of an anchor.
    Proof {
        /// The program.
        name: String,
        /// The anchor of the lines that are shown first.
        anchor: Option<String>,
    },
    /// The mark of a claim.
    Ev(String),
    /// The claims of one part, or how many each part has.
    Ledger(Option<String>),
    /// Drawings, with a caption or inside a line.
    Drawing(Figure),
    /// The decision matrix beside the page.
    Matrix,
    /// Every error text that a page explains.
    Errors,
    /// The counts of experiments.
    Guarantee(Vec<String>),
    /// The longest stalls of experiments.
    Stalls(Figure),
    /// An interactive part.
    Sim {
        /// Its name.
        name: String,
        /// Which of its starts is shown.
        start: String,
    },
    /// Where emulators differ from what their makers document.
    Differences,
}

/// `a b c | caption`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// What is drawn.
    pub names: Vec<String>,
    /// Where the caption stands in the text.
    pub caption: Option<Range<usize>>,
}

impl What {
    /// What a directive of ours stands for; `text` is the text that it stands in.
    ///
    /// # Errors
    /// What is missing in its arguments.
    pub fn parse(token: &Token, text: &str) -> Result<Self, Complaint> {
        let arguments = token.arguments.as_str();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        let figure = || {
            let range = &token.range;
            let bar = text[range.clone()]
                .find('|')
                .map(|bar| range.start + bar + 1);
            Figure {
                names: words(arguments.split('|').next().unwrap_or_default()),
                caption: bar.map(|bar| bar..range.end - 2),
            }
        };
        Ok(match token.name.as_str() {
            "proof" => match arguments.split_once(':') {
                Some((name, anchor)) => Self::Proof {
                    name: name.trim().to_owned(),
                    anchor: Some(anchor.trim().to_owned()),
                },
                None => Self::Proof {
                    name: arguments.to_owned(),
                    anchor: None,
                },
            },
            "ev" => Self::Ev(arguments.to_owned()),
            "ledger" => Self::Ledger(Some(arguments.to_owned()).filter(|part| !part.is_empty())),
            "drawing" => match figure() {
                figure if figure.names.is_empty() => {
                    return Err("no drawing named; write {{#drawing NAME}}".into());
                }
                figure => Self::Drawing(figure),
            },
            "matrix" => Self::Matrix,
            "errors" => Self::Errors,
            "guarantee" => Self::Guarantee(words(arguments)),
            "stalls" => Self::Stalls(figure()),
            "sim" => match arguments.split_once(char::is_whitespace) {
                Some((name, start)) => Self::Sim {
                    name: name.to_owned(),
                    start: start.trim().to_owned(),
                },
                None => return Err("no start named; write {{#sim NAME START}}".into()),
            },
            "differences" => Self::Differences,
            name => return Err(unknown(name)),
        })
    }

    /// The word that it is written by.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proof { .. } => "proof",
            Self::Ev(_) => "ev",
            Self::Ledger(_) => "ledger",
            Self::Drawing(_) => "drawing",
            Self::Matrix => "matrix",
            Self::Errors => "errors",
            Self::Guarantee(_) => "guarantee",
            Self::Stalls(_) => "stalls",
            Self::Sim { .. } => "sim",
            Self::Differences => "differences",
        }
    }
}

/// What is said of a name that nobody knows.
fn unknown(name: &str) -> Complaint {
    format!(
        "unknown directive `{{{{#{name}}}}}`; known: {}, {}, title; write \\{{{{#{name}}}}} if it is meant as text",
        OURS.join(", "),
        MDBOOK.join(", ")
    )
    .into()
}

/// A directive as it is written: `{{#name arguments}}`, blanks allowed behind the braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where it stands in the text, braces included.
    pub range: Range<usize>,
    /// What follows `#`.
    pub name: String,
    /// The rest, trimmed.
    pub arguments: String,
    /// Whether it stands behind a backslash, and so is text; the range is that of its braces then.
    pub is_escaped: bool,
}

/// Every directive of a text in its order; one inside another follows it.
pub fn tokens(text: &str) -> impl Iterator<Item = Token> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let (start, inner) = opening(text, at)?;
            at = inner;
            let is_escaped = text[..start].ends_with('\\');
            let line = text[start..].lines().next().unwrap_or_default();
            if is_escaped && line.contains("}}") && inner == start + 3 {
                return Some(Token {
                    range: start..inner,
                    name: String::new(),
                    arguments: String::new(),
                    is_escaped,
                });
            }
            if let Some(end) = closing(text, start).filter(|_| !is_escaped) {
                return Some(token(text, inner, start..end));
            }
        }
    })
}

/// The directives of a text that stand in no other.
pub fn outermost(text: &str) -> impl Iterator<Item = Token> {
    let mut end = 0;
    tokens(text)
        .filter(|token| !token.is_escaped)
        .filter(move |token| {
            let is_outermost = token.range.start >= end;
            end = end.max(token.range.end);
            is_outermost
        })
}

/// Where a directive begins that no `}}` ends.
pub fn unclosed(text: &str) -> impl Iterator<Item = usize> {
    let mut at = 0;
    let openings = std::iter::from_fn(move || {
        let (start, inner) = opening(text, at)?;
        at = inner;
        Some(start)
    });
    openings.filter(|start| !text[..*start].ends_with('\\') && closing(text, *start).is_none())
}

/// The next `{{#`, blanks allowed before the `#`: where it begins and ends.
fn opening(text: &str, mut at: usize) -> Option<(usize, usize)> {
    loop {
        let start = at + text.get(at..)?.find("{{")?;
        let rest = &text[start + 2..];
        let blanks = rest.len() - rest.trim_start().len();
        if rest[blanks..].starts_with('#') {
            return Some((start, start + 2 + blanks + 1));
        }
        at = start + 1;
    }
}

fn token(text: &str, inner: usize, range: Range<usize>) -> Token {
    let inner = &text[inner..range.end - 2];
    let (name, arguments) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    Token {
        range,
        name: name.trim().to_owned(),
        arguments: arguments.trim().to_owned(),
        is_escaped: false,
    }
}

/// The end of the directive that opens at `start`: behind the `}}` that closes it.
fn closing(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0;
    let mut at = start;
    loop {
        let rest = &text[at..];
        let close = rest.find("}}")?;
        match rest.find("{{").filter(|open| *open < close) {
            Some(open) => {
                depth += 1;
                at += open + 2;
            }
            None => {
                depth -= 1;
                at += close + 2;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_escaped() {
        let text = r"a {{#drawing x | Title. {{ #ev one}} }} \{{#ev two}} {{#ledger}} {{#open";
        let outer: Vec<_> = outermost(text).map(|d| (d.name, d.arguments)).collect();
        let expected = [("drawing", "x | Title. {{ #ev one}}"), ("ledger", "")];
        assert_eq!(outer, expected.map(|(n, a)| (n.to_owned(), a.to_owned())));
        let names: Vec<_> = tokens(text).map(|d| &text[d.range]).collect();
        assert_eq!(names[1], "{{ #ev one}}");
        assert_eq!(names[2], "{{#");
        assert_eq!(names.len(), 4);
        assert_eq!(unclosed(text).collect::<Vec<_>>(), [text.len() - 7]);
    }
}
