//! Finds `{{#name arguments}}` in a text.

use std::ops::Range;

/// A directive: `{{#name arguments}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Where it stands in the text, braces included.
    pub range: Range<usize>,
    /// What follows `#`.
    pub name: String,
    /// The rest, trimmed.
    pub arguments: String,
}

/// The outermost directives of a text in their order. One behind a backslash is none.
pub fn outermost(text: &str) -> impl Iterator<Item = Directive> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + text.get(at..)?.find("{{#")?;
            at = start + 3;
            if text[..start].ends_with('\\') {
                continue;
            }
            let Some(end) = closing(text, start) else {
                continue;
            };
            at = end;
            return Some(parse(text, start..end));
        }
    })
}

/// All directives of a text, those in the arguments of others included.
pub fn all(text: &str) -> impl Iterator<Item = Directive> {
    outermost(text).flat_map(move |directive| {
        let inside = directive.range.start + 3;
        let nested = outermost(&text[inside..directive.range.end - 2]).map(move |mut nested| {
            nested.range = nested.range.start + inside..nested.range.end + inside;
            nested
        });
        std::iter::once(directive).chain(nested.collect::<Vec<_>>())
    })
}

/// Where a directive begins that no `}}` ends.
pub fn unclosed(text: &str) -> impl Iterator<Item = usize> {
    let starts = text.match_indices("{{#").map(|(start, _)| start);
    starts.filter(|start| !text[..*start].ends_with('\\') && closing(text, *start).is_none())
}

fn parse(text: &str, range: Range<usize>) -> Directive {
    let inner = &text[range.start + 3..range.end - 2];
    let (name, arguments) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    Directive {
        range,
        name: name.trim().to_owned(),
        arguments: arguments.trim().to_owned(),
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
        let text = r"a {{#drawing x | Title. {{#ev one}} }} \{{#ev two}} {{#ledger}} {{#open";
        let outer: Vec<_> = outermost(text).map(|d| (d.name, d.arguments)).collect();
        let expected = [("drawing", "x | Title. {{#ev one}}"), ("ledger", "")];
        assert_eq!(outer, expected.map(|(n, a)| (n.to_owned(), a.to_owned())));
        let names: Vec<_> = all(text).map(|d| &text[d.range]).collect();
        assert_eq!(names[1], "{{#ev one}}");
        assert_eq!(names.len(), 3);
        assert_eq!(unclosed(text).collect::<Vec<_>>(), [text.len() - 7]);
    }
}
