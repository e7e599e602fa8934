//! Markdown read once: the directives, listings and callouts of a page, each with its place, what stands
//! where it cannot stand, and the headings and links with their lines.

use std::{ops::Range, sync::LazyLock};

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use regex::Regex;

use super::{
    directive::{self, Directive, Token, What},
    include::Source,
};
use crate::text::problem::Complaint;

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

/// Some Markdown and what in it is expanded.
#[derive(Debug, Default)]
pub struct Section {
    /// The Markdown.
    pub text: String,
    /// What is expanded, in its order.
    pub items: Vec<Item>,
}

/// What is expanded.
#[derive(Debug)]
pub enum Item {
    /// A directive.
    Directive(Directive),
    /// A fenced listing.
    Listing(Listing),
    /// A callout.
    Callout(Callout),
}

/// A fenced listing.
#[derive(Debug)]
pub struct Listing {
    /// Where it stands in the text, fences included.
    pub range: Range<usize>,
    /// The words behind the first fence.
    pub info: String,
    /// What is listed.
    pub source: String,
}

/// A callout: a fence that mdbook-admonish turns into a box.
#[derive(Debug)]
pub struct Callout {
    /// Where it stands in the text, fences included.
    pub range: Range<usize>,
    /// The line of its first fence in the page's file.
    pub line: usize,
    /// Which callout of the page it is, from 0.
    pub number: usize,
    /// The words behind the first fence.
    pub info: String,
    /// Its title, or its kind.
    pub title: String,
    /// What begins each of its lines after the first: the containers that it stands in.
    pub margin: String,
    /// What it contains.
    pub section: Section,
}

/// What is known about a page from one reading of its Markdown.
#[derive(Debug, Default)]
pub struct Reading {
    /// The page below its head.
    pub body: Section,
    /// Lines at which something stands that cannot stand there, and why.
    pub misplaced: Vec<(usize, Complaint)>,
    /// The headings of its second and third level.
    pub headings: Vec<Heading>,
    /// The targets of its links and images as they are written, with their lines.
    pub links: Vec<(String, usize)>,
    callouts: usize,
}

/// A heading.
#[derive(Debug, Default, Clone)]
pub struct Heading {
    /// Its level, from 1.
    pub level: u8,
    /// Its words.
    pub text: String,
    /// Those of its words that are code.
    pub codes: Vec<String>,
    /// Its line.
    pub line: usize,
}

impl Item {
    /// Where it stands in the text.
    pub fn range(&self) -> &Range<usize> {
        match self {
            Self::Directive(directive) => &directive.range,
            Self::Listing(listing) => &listing.range,
            Self::Callout(callout) => &callout.range,
        }
    }
}

impl Section {
    /// Every directive, those in callouts and captions included.
    pub fn directives(&self) -> Vec<&Directive> {
        let mut found = Vec::new();
        for item in &self.items {
            match item {
                Item::Directive(directive) => {
                    found.push(directive);
                    found.extend(&directive.inside);
                }
                Item::Callout(callout) => found.extend(callout.section.directives()),
                Item::Listing(_) => {}
            }
        }
        found
    }

    /// Every callout, in the order of their numbers.
    pub fn callouts(&self) -> Vec<&Callout> {
        let mut found = Vec::new();
        for item in &self.items {
            if let Item::Callout(callout) = item {
                found.push(callout);
                found.extend(callout.section.callouts());
            }
        }
        found
    }
}

/// Reads the text of a page from an offset on.
pub fn read(source: &Source, from: usize, options: Options) -> Reading {
    let mut reading = Reading::default();
    let offsets: Vec<usize> = (from..=source.text.len()).collect();
    let text = source.text[from..].to_owned();
    let mut reader = Reader {
        source,
        options,
        reading: &mut reading,
    };
    let body = reader.section(text, &offsets);
    reading.body = body;
    reading
}

/// Reads sections into what is known about their page.
struct Reader<'a> {
    source: &'a Source,
    options: Options,
    reading: &'a mut Reading,
}

/// What Markdown makes of the parts of a section.
#[derive(Default)]
struct Regions {
    /// Code and comments.
    literal: Vec<Range<usize>>,
    /// Headings and terms, which have a permanent anchor.
    anchored: Vec<Range<usize>>,
    blocks: Vec<Block>,
}

/// A fenced block while it is read.
struct Block {
    range: Range<usize>,
    info: String,
    source: String,
    /// Where each byte of what it contains stands in the section.
    offsets: Vec<usize>,
}

impl Block {
    fn is_callout(&self) -> bool {
        self.info.split([' ', '\t']).next() == Some("admonish")
    }
}

impl Reader<'_> {
    /// Reads Markdown whose bytes stand at these offsets of the page's text.
    fn section(&mut self, text: String, offsets: &[usize]) -> Section {
        let regions = self.regions(&text, offsets);
        let mut items = Vec::new();
        let mut wrong = 0..0;
        let is_text = |at: usize| self.source.is_literal(offsets[at]);
        let outermost: Vec<Token> = directive::outermost(&text)
            .filter(|token| !is_text(token.range.start))
            // What a callout contains is read as a section of its own.
            .filter(|token| !regions.is_in_a_callout(&text, token.range.start))
            .collect();
        for token in &outermost {
            if let Some(item) = self.directive(&text, token, offsets, &regions, &mut wrong) {
                items.push(Item::Directive(item));
            }
        }
        for block in regions.blocks {
            if block.is_callout() {
                let callout = self.callout(&text, block, offsets);
                items.push(Item::Callout(callout));
            } else {
                items.push(Item::Listing(Listing {
                    range: block.range,
                    info: block.info,
                    source: block.source,
                }));
            }
        }
        items.sort_by_key(|item| item.range().start);
        Section { text, items }
    }

    fn line(&self, offsets: &[usize], at: usize) -> usize {
        self.source.line_at(offsets[at])
    }

    fn directive(
        &mut self,
        text: &str,
        token: &Token,
        offsets: &[usize],
        regions: &Regions,
        wrong: &mut Range<usize>,
    ) -> Option<Directive> {
        let start = token.range.start;
        // What is inside a wrong directive is wrong with it.
        if wrong.contains(&start) {
            return None;
        }
        let line = self.line(offsets, start);
        let what = What::parse(token, text);
        let is_known = directive::OURS.contains(&token.name.as_str());
        let misplaced = regions.misplaced(text, token).filter(|_| is_known);
        if let Some(message) = misplaced {
            *wrong = token.range.clone();
            self.reading.misplaced.push((line, message));
            return None;
        }
        let what = match what {
            Ok(what) => what,
            Err(complaint) => {
                self.reading.misplaced.push((line, complaint));
                return None;
            }
        };
        let first = start + 3;
        let inner = &text[first..token.range.end - 2];
        let inside = directive::outermost(inner).filter_map(|mut token| {
            token.range = token.range.start + first..token.range.end + first;
            self.directive(text, &token, offsets, regions, wrong)
        });
        let inside = inside.collect();
        Some(Directive {
            range: token.range.clone(),
            line,
            what,
            inside,
        })
    }

    fn callout(&mut self, text: &str, mut block: Block, offsets: &[usize]) -> Callout {
        let line = self.line(offsets, block.range.start);
        let first = first_line(text, &block.range);
        let info = first.trim_start_matches(['`', '~']).trim().to_owned();
        if let Some(wrong) = wrong_callout(first) {
            self.reading.misplaced.push((line, wrong));
        }
        let number = self.reading.callouts;
        self.reading.callouts += 1;
        // Blanks at the end are not part of what it contains.
        block.source.truncate(block.source.trim_end().len());
        let mut inside: Vec<usize> = block.offsets.iter().map(|at| offsets[*at]).collect();
        inside.truncate(block.source.len());
        inside.push(offsets[block.range.end]);
        Callout {
            line,
            number,
            title: title_of(first),
            margin: margin(text, block.range.start),
            section: self.section(block.source, &inside),
            info,
            range: block.range,
        }
    }

    fn regions(&mut self, text: &str, offsets: &[usize]) -> Regions {
        let mut regions = Regions::default();
        let mut block: Option<Block> = None;
        let mut heading: Option<Heading> = None;
        for (event, range) in Parser::new_ext(text, self.options).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    block = Some(Block {
                        range: trimmed(text, range),
                        info: info.into_string(),
                        source: String::new(),
                        offsets: Vec::new(),
                    });
                }
                Event::Start(Tag::CodeBlock(CodeBlockKind::Indented)) => {
                    regions.literal.push(range);
                }
                Event::Start(Tag::Heading { level, .. }) => {
                    heading = Some(Heading {
                        level: number_of(level),
                        line: self.line(offsets, range.start),
                        ..Heading::default()
                    });
                    regions.anchored.push(range);
                }
                Event::Start(Tag::DefinitionListTitle) => regions.anchored.push(range),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let line = self.line(offsets, range.start);
                    self.reading.links.push((dest_url.into_string(), line));
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.text.push_str(&code);
                        heading.codes.push(code.into_string());
                    }
                    regions.literal.push(range);
                }
                Event::Html(_) | Event::InlineHtml(_) => regions.comments(text, range),
                Event::Text(piece) => match (&mut block, &mut heading) {
                    (Some(block), _) => {
                        block.source.push_str(&piece);
                        let places = (0..piece.len()).map(|at| (range.start + at).min(range.end));
                        block.offsets.extend(places);
                    }
                    (None, Some(heading)) => heading.text.push_str(&piece),
                    (None, None) => {}
                },
                Event::End(TagEnd::CodeBlock) => {
                    if let Some(block) = block.take() {
                        if !block.is_callout() {
                            regions.literal.push(block.range.clone());
                        }
                        regions.blocks.push(block);
                    }
                }
                Event::End(TagEnd::Heading(_)) => self.reading.headings.extend(heading.take()),
                _ => {}
            }
        }
        regions
    }
}

impl Regions {
    /// The comments that begin in a piece of HTML; an empty line does not end one.
    fn comments(&mut self, text: &str, html: Range<usize>) {
        for (start, _) in text[html.clone()].match_indices("<!--") {
            let start = html.start + start;
            let length = text[start..].find("-->").unwrap_or(text.len() - start);
            self.literal.push(start..start + length);
        }
    }

    /// Whether something stands in a callout below its first line.
    fn is_in_a_callout(&self, text: &str, at: usize) -> bool {
        let mut callouts = self.blocks.iter().filter(|block| block.is_callout());
        callouts.any(|block| {
            let first = first_line(text, &block.range).len();
            (block.range.start + first..block.range.end).contains(&at)
        })
    }

    fn misplaced(&self, text: &str, token: &Token) -> Option<Complaint> {
        let (start, name) = (token.range.start, &token.name);
        let within = |ranges: &[Range<usize>]| ranges.iter().any(|range| range.contains(&start));
        let mut callouts = self.blocks.iter().filter(|block| block.is_callout());
        let block = callouts.find(|block| block.range.contains(&start));
        let in_title = block.is_some_and(|block| {
            let title = first_line(text, &block.range).len();
            start < block.range.start + title
        });
        if within(&self.literal) {
            return Some(in_code(name));
        }
        if in_title && name != "ev" {
            return Some(in_a_title(name));
        }
        let is_misplaced_mark =
            name == "ev" && (in_title || within(&self.anchored) || begins_a_block(text, start));
        is_misplaced_mark.then(without_sentence)
    }
}

/// What is said of a directive in code.
pub fn in_code(name: &str) -> Complaint {
    format!(
        "{{{{#{name}}}}} stands in code or a comment; move it, or write \\{{{{#{name}}}}} if it is meant as text"
    )
    .into()
}

/// What is said of a directive in a title.
pub fn in_a_title(name: &str) -> Complaint {
    format!("{{{{#{name}}}}} stands in a title; move it").into()
}

/// What is said of a mark in a title.
pub fn without_sentence() -> Complaint {
    "a mark follows a sentence; write it behind a full stop".into()
}

/// A block without the blank lines, and what marks their containers, that follow it: a container may have
/// ended it.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let length = text[range.clone()].trim_end().len();
    range.start..range.start + length
}

/// What begins the lines of a block after its first: the markers of quotes, and blanks for all others.
fn margin(text: &str, start: usize) -> String {
    let line = text[..start].rsplit('\n').next().unwrap_or_default();
    let blank = |c: char| if matches!(c, '>' | '\t') { c } else { ' ' };
    line.chars().map(blank).collect()
}

fn number_of(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
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
fn wrong_callout(line: &str) -> Option<Complaint> {
    let info = line.split_once("admonish")?.1.trim();
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let kind = info.split(|c| !is_name(c)).next().unwrap_or_default();
    let Some(name) = CALLOUTS
        .into_iter()
        .find(|name| name.to_lowercase() == kind)
    else {
        let known = CALLOUTS.join(", ").to_lowercase();
        return Some(format!("unknown callout `{kind}`; known: {known}").into());
    };
    let title = TITLE.captures(info)?.get(1)?.as_str();
    let rest = title.strip_prefix(name);
    match rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':')) {
        true => None,
        false => Some(
            format!("the title of a callout begins with its kind; write title=\"{name}: {title}\"")
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::text::markdown::options;

    fn reading(text: &str) -> Reading {
        let (source, _) = Source::read(text.to_owned(), Path::new(""), Path::new(""));
        read(&source, 0, options())
    }

    /// The directives that count, as they are written, and the lines of what is misplaced.
    fn found(text: &str) -> (Vec<String>, Vec<(usize, String)>) {
        let reading = reading(text);
        let names = reading
            .body
            .directives()
            .into_iter()
            .map(|d| match &d.what {
                What::Ev(id) => id.clone(),
                what => what.name().to_owned(),
            });
        let misplaced = reading.misplaced.iter();
        let misplaced = misplaced.map(|(line, complaint)| (*line, complaint.to_string()));
        (names.collect(), misplaced.collect())
    }

    #[test]
    fn code_and_comments_hold_no_directive() {
        let text = "One. {{#ev a}}\n\n```text\n{{#ev b}}\n```\n\n`{{#ev c}}` `\\{{#ev d}}`\n\n\
                    <!-- {{#ev e}} -->\nx <!--\n{{#ev f}} --> Two. {{ #ev g}}\n\n    {{#ev h}}\n";
        let (counted, mut misplaced) = found(text);
        misplaced.sort();
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
        let (counted, misplaced) = found(text);
        assert_eq!(counted, ["a", "drawing", "c"]);
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
            let (counted, misplaced) = found(&format!("First.\n\n{wrong}\n"));
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
            assert_eq!(found(right), (vec!["a".to_owned()], vec![]), "{right}");
        }
    }

    #[test]
    fn a_callout_has_its_title_and_the_margin_of_its_containers() {
        let text = "a\n\n> - ```admonish trap title=\"Trap: \\\"c\\\"\"\n>   d\n\n```admonish version\ne\n```\n";
        let reading = reading(text);
        let callouts = reading.body.callouts();
        let seen = callouts
            .iter()
            .map(|c| (c.title.as_str(), c.margin.as_str(), c.section.text.as_str()));
        assert_eq!(
            seen.collect::<Vec<_>>(),
            [("Trap: \"c\"", ">   ", "d"), ("Version", "", "e")]
        );
    }

    #[test]
    fn a_listing_ends_with_its_container() {
        let text = "- ```text\n  code\n\nAfter.\n";
        let reading = reading(text);
        let Item::Listing(listing) = &reading.body.items[0] else {
            panic!("no listing");
        };
        assert_eq!(&text[listing.range.clone()], "```text\n  code");
        assert_eq!(listing.source.trim_end(), "code");
    }

    #[test]
    fn a_callout_names_its_kind() {
        let of = |info: &str| found(&format!("```admonish {info}\nx\n```\n")).1;
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
