//! Reads the directives of a page: which of them count, and which stand where they cannot. Panels,
//! marks, the lists of claims and every line number come from here.

use std::{ops::Range, sync::LazyLock};

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use regex::Regex;

use super::{
    directive::{self, Directive},
    fences,
    includes::OURS,
};

/// The kinds of callouts, which their titles begin with.
const CALLOUTS: [&str; 3] = ["Guarantee", "Trap", "Version"];

/// What a line may hold before the first word of a paragraph, an item or a definition.
static BEGINNING: LazyLock<Regex> = LazyLock::new(|| {
    let marker = r"[-*+:>]|\d+[.)]|\[[ xX]\]|\[\^[^\]]+\]:";
    Regex::new(&format!(r"^[ \t]*(?:(?:{marker})[ \t]*)*$")).expect("a constant pattern")
});

/// The title in the first line of a callout.
static TITLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"title\s*=\s*"((?:[^"\\]|\\.)*)""#).expect("a constant pattern"));

/// The directives of a page.
#[derive(Debug, Default)]
pub struct Scan {
    /// Those of ours that count, in their order; one inside another follows it.
    pub directives: Vec<Directive>,
    /// Where something stands that cannot stand there, and why.
    pub misplaced: Vec<(usize, String)>,
    /// The callouts, fences included.
    pub callouts: Vec<Range<usize>>,
}

/// Reads a page.
pub fn scan(text: &str) -> Scan {
    let mut regions = Regions::default();
    let offsets: Vec<usize> = (0..=text.len()).collect();
    regions.read(text, &offsets);
    let mut scan = Scan::default();
    let mut wrong = 0..0;
    for directive in directive::all(text).filter(|d| OURS.contains(&d.name.as_str())) {
        let start = directive.range.start;
        match regions.misplaced(text, &directive) {
            // What is inside a wrong directive is wrong with it.
            _ if wrong.contains(&start) => {}
            Some(message) => {
                wrong = directive.range;
                scan.misplaced.push((start, message));
            }
            None => scan.directives.push(directive),
        }
    }
    for block in regions.callouts {
        let wrong = wrong_callout(first_line(text, &block));
        scan.misplaced
            .extend(wrong.map(|message| (block.start, message)));
        scan.callouts.push(block);
    }
    scan
}

/// What Markdown makes of the parts of a page.
#[derive(Default)]
struct Regions {
    /// Code and comments.
    literal: Vec<Range<usize>>,
    /// Headings and terms, which have a permanent anchor.
    anchored: Vec<Range<usize>>,
    callouts: Vec<Range<usize>>,
}

/// The content of a callout while it is read, with the place of each byte on the page.
struct Inside {
    block: Range<usize>,
    text: String,
    offsets: Vec<usize>,
}

impl Regions {
    /// Reads Markdown whose bytes stand at these offsets of the page.
    fn read(&mut self, text: &str, offsets: &[usize]) {
        let mut callout: Option<Inside> = None;
        for (event, range) in Parser::new_ext(text, fences::options()).into_offset_iter() {
            let place = offsets[range.start]..offsets[range.end];
            match event {
                Event::Start(Tag::CodeBlock(kind)) if is_callout(&kind) => {
                    callout = Some(Inside {
                        block: place,
                        text: String::new(),
                        offsets: Vec::new(),
                    });
                }
                Event::Start(Tag::CodeBlock(_)) | Event::Code(_) => self.literal.push(place),
                Event::Start(Tag::Heading { .. } | Tag::DefinitionListTitle) => {
                    self.anchored.push(place);
                }
                Event::Html(_) | Event::InlineHtml(_) => self.comments(text, range, offsets),
                Event::Text(_) => {
                    if let Some(inside) = &mut callout {
                        inside.text.push_str(&text[range.clone()]);
                        inside.offsets.extend(&offsets[range]);
                    }
                }
                Event::End(TagEnd::CodeBlock) => {
                    if let Some(mut inside) = callout.take() {
                        inside.offsets.push(inside.block.end);
                        self.callouts.push(inside.block);
                        self.read(&inside.text, &inside.offsets);
                    }
                }
                _ => {}
            }
        }
    }

    /// The comments that begin in a piece of HTML; an empty line does not end one.
    fn comments(&mut self, text: &str, html: Range<usize>, offsets: &[usize]) {
        for (start, _) in text[html.clone()].match_indices("<!--") {
            let start = html.start + start;
            let length = text[start..].find("-->").unwrap_or(text.len() - start);
            self.literal.push(offsets[start]..offsets[start + length]);
        }
    }

    fn misplaced(&self, text: &str, directive: &Directive) -> Option<String> {
        let (start, name) = (directive.range.start, &directive.name);
        let within = |ranges: &[Range<usize>]| ranges.iter().any(|range| range.contains(&start));
        let mut callouts = self.callouts.iter();
        let in_title = callouts.any(|block| {
            (block.start..block.start + first_line(text, block).len()).contains(&start)
        });
        if within(&self.literal) {
            return Some(format!(
                "{{{{#{name}}}}} stands in code or a comment; move it, or write \\{{{{#{name}}}}} if it \
                 is meant as text"
            ));
        }
        if in_title && name != "ev" {
            return Some(format!("{{{{#{name}}}}} stands in a title; move it"));
        }
        let is_misplaced_mark =
            name == "ev" && (in_title || within(&self.anchored) || begins_a_block(text, start));
        is_misplaced_mark
            .then(|| "a mark follows a sentence; write it behind a full stop".to_owned())
    }
}

fn is_callout(kind: &CodeBlockKind<'_>) -> bool {
    match kind {
        CodeBlockKind::Fenced(info) => info.split(' ').next() == Some("admonish"),
        CodeBlockKind::Indented => false,
    }
}

fn first_line<'a>(text: &'a str, block: &Range<usize>) -> &'a str {
    text[block.clone()].lines().next().unwrap_or_default()
}

/// Whether nothing stands before an offset in its paragraph, item or definition.
fn begins_a_block(text: &str, offset: usize) -> bool {
    let before = &text[..offset];
    let (earlier, line) = before.rsplit_once('\n').unwrap_or(("", before));
    let line_above = earlier.rsplit('\n').next().unwrap_or_default();
    let above = line_above.trim_start();
    let is_fence = above.starts_with("```") || above.starts_with("~~~");
    let follows_text = line.trim().is_empty() && !above.is_empty() && !is_fence;
    BEGINNING.is_match(line) && !follows_text
}

/// A text with the title of each callout in front of it, for renderers that show its content alone.
pub fn with_titles(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut copied = 0;
    for (event, range) in Parser::new_ext(text, fences::options()).into_offset_iter() {
        let Event::Start(Tag::CodeBlock(kind)) = event else {
            continue;
        };
        if is_callout(&kind) {
            let title = title_of(first_line(text, &range));
            let line = text[..range.start].rsplit('\n').next().unwrap_or_default();
            titled.push_str(&text[copied..range.start]);
            titled.push_str(&format!("**{title}**\n\n{line}"));
            copied = range.start;
        }
    }
    titled + &text[copied..]
}

/// The title that a callout's first line gives it, or its kind.
fn title_of(line: &str) -> String {
    if let Some(title) = TITLE.captures(line) {
        return title[1].replace("\\\"", "\"");
    }
    let mut kinds = CALLOUTS.into_iter();
    let kind = kinds.find(|kind| line.contains(&kind.to_lowercase()));
    kind.unwrap_or_default().to_owned()
}

/// What is wrong with the first line of a callout.
fn wrong_callout(line: &str) -> Option<String> {
    let info = line.split_once("admonish")?.1.trim();
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let kind = info.split(|c| !is_name(c)).next().unwrap_or_default();
    let Some(name) = CALLOUTS
        .into_iter()
        .find(|name| name.to_lowercase() == kind)
    else {
        let known = CALLOUTS.join(", ").to_lowercase();
        return Some(format!("unknown callout `{kind}`; known: {known}"));
    };
    let title = TITLE.captures(info)?.get(1)?.as_str();
    let rest = title.strip_prefix(name);
    match rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
        true => None,
        false => Some(format!(
            "the title of a callout begins with its kind; write title=\"{name}: {title}\""
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of the directives that count, and the lines of what is misplaced.
    fn read(text: &str) -> (Vec<String>, Vec<(usize, String)>) {
        let scan = scan(text);
        let line = |(offset, message)| (crate::errors::line_at(text, offset), message);
        let arguments = scan.directives.into_iter().map(|d| d.arguments);
        (
            arguments.collect(),
            scan.misplaced.into_iter().map(line).collect(),
        )
    }

    #[test]
    fn code_and_comments_hold_no_directive() {
        let text = "One. {{#ev a}}\n\n```text\n{{#ev b}}\n```\n\n`{{#ev c}}` `\\{{#ev d}}`\n\n\
                    <!-- {{#ev e}} -->\nx <!--\n{{#ev f}} --> Two. {{#ev g}}\n\n    {{#ev h}}\n";
        let (counted, misplaced) = read(text);
        assert_eq!(counted, ["a", "g"]);
        let lines: Vec<_> = misplaced.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 7, 9, 11, 13]);
        assert!(
            misplaced[0]
                .1
                .contains("write \\{{#ev}} if it is meant as text")
        );
    }

    #[test]
    fn a_callout_is_no_code_but_holds_some() {
        let text = "- x\n\n  ````admonish trap title=\"Trap: t\"\n  It. {{#ev a}}\n\n  ```\n  {{#ev b}}\n  \
                    ```\n  ````\n\n```admonish version\nIt. {{#drawing x | Y. {{#ev c}}}}\n```\n";
        let (counted, misplaced) = read(text);
        assert_eq!(counted, ["a", "x | Y. {{#ev c}}", "c"]);
        assert_eq!(misplaced.len(), 1);
        assert_eq!(misplaced[0].0, 7);
    }

    #[test]
    fn a_mark_follows_a_sentence() {
        for wrong in [
            "{{#ev a}} x",
            "- {{#ev a}} x",
            "1. {{#ev a}} x",
            "> - [ ] {{#ev a}} x",
            "Term\n: {{#ev a}} x",
            "Term. {{#ev a}}\n: x",
            "## Heading {{#ev a}}",
            "```admonish trap title=\"Trap: {{#ev a}}\"\nx\n```",
            "```admonish trap\n{{#ev a}} x\n\n## Heading {{#ev b}}\n```",
        ] {
            let (counted, misplaced) = read(&format!("First.\n\n{wrong}\n"));
            assert!(
                counted.is_empty() && !misplaced.is_empty(),
                "{wrong}: {misplaced:?}"
            );
            assert!(
                misplaced[0].1.starts_with("a mark follows a sentence"),
                "{misplaced:?}"
            );
        }
        for right in [
            "x. {{#ev a}}",
            "x.\n{{#ev a}}",
            "| a | {{#ev a}} |",
            "- x {{#ev a}}",
        ] {
            assert_eq!(read(right), (vec!["a".to_owned()], vec![]), "{right}");
        }
    }

    #[test]
    fn the_title_of_a_callout_can_stand_before_it() {
        let text = "a\n\n- b\n\n  ```admonish trap title=\"Trap: \\\"c\\\"\"\n  d\n  ```\n\n```admonish version\ne\n```\n";
        assert_eq!(
            with_titles(text),
            "a\n\n- b\n\n  **Trap: \"c\"**\n\n  ```admonish trap title=\"Trap: \\\"c\\\"\"\n  d\n  ```\n\n\
             **Version**\n\n```admonish version\ne\n```\n"
        );
    }

    #[test]
    fn a_callout_names_its_kind() {
        let of = |info: &str| read(&format!("```admonish {info}\nx\n```\n")).1;
        assert_eq!(of("trap"), []);
        assert_eq!(of("trap title=\"Trap: a \\\"b\\\"\""), []);
        assert!(
            of("trap title=\"Careful\"")[0]
                .1
                .contains("begins with its kind")
        );
        assert!(
            of("trap title=\"Trapped\"")[0]
                .1
                .contains("begins with its kind")
        );
        assert!(
            of("note")[0]
                .1
                .contains("unknown callout `note`; known: guarantee, trap, version")
        );
    }
}
