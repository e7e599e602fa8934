//! Statements of fact in the prose that carry no mark: a number with a unit, a default, a limit, a
//! "never" is a fact, and a reader wants to see where it comes from.

use std::{fs, ops::Range, path::Path, sync::LazyLock};

use anyhow::{Context, Result};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use regex::Regex;
use serde::Deserialize;
use toml::Spanned;

use crate::{
    build,
    model::ledger::EXEMPTIONS,
    text::markdown::options,
    text::problem::{Problem, line_at},
};

const UNITS: &str = "ms|milliseconds?|s|seconds?|min|minutes?|hours?|days?|weeks?|months?|years?|\
                     bytes?|[kM]B|[KMG]i?B|dollars?";
const NUMERALS: &str = "one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|twenty|thirty|\
                        sixty|hundred|thousand|million";

/// What makes a sentence a fact, and what it is called.
static FACTS: LazyLock<[(Regex, &str); 3]> = LazyLock::new(|| {
    let regex = |pattern: &str| Regex::new(pattern).expect("a constant pattern");
    [
        (
            regex(&format!(
                r"\b(?:\d[\d,.]*|(?i:{NUMERALS}))[ \u{{a0}}](?:{UNITS})\b|\b\d[\d,.]*[ \u{{a0}}]?%"
            )),
            "a number with a unit",
        ),
        (
            regex(r"(?i)\bby default\b|\bthe default\b|\bdefaults? (?:is|are|to)\b"),
            "a default",
        ),
        (
            regex(
                r"(?i)\b(?:at (?:most|least)|exactly)\b|\bup to \d|\b(?:maximum|minimum|never|always)\b|\b(?:more|fewer|less|longer) than \d",
            ),
            "a limit or a word for every case",
        ),
    ]
});

/// Names of delivery guarantees, which limit nothing.
static GUARANTEES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:at[ -]most|at[ -]least|exactly)[ -]once\b").expect("a constant pattern")
});

static MARK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{\{#ev [^}]*\}\}").expect("a constant pattern"));

/// The names in front of a drawing's caption, and panels.
static DRAWING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\{\{#drawing [^|}]*\|?|\{\{#(?:proof|include) [^}]*\}\}")
        .expect("a constant pattern")
});

/// What is no statement: an instruction, and what a reader will know.
static NO_FACT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\W*(?:Never [a-z]|You will know)").expect("a constant pattern"));

/// The end of a sentence with the marks behind it.
static END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"[.!?]["”’*)]*(?:\s+\{\{#ev [^}]*\}\})*(?:\s+|\}\}|$)"#)
        .expect("a constant pattern")
});

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exemptions {
    #[serde(default)]
    exempt: Vec<Exemption>,
}

/// A sentence that needs no mark.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exemption {
    /// The page, relative to the folder of the chapters.
    page: Spanned<String>,
    /// Words of the sentence.
    says: String,
    /// Why nothing has to be proven.
    why: String,
}

/// A sentence that states a fact and carries no mark.
#[derive(Debug, PartialEq, Eq)]
struct Fact {
    line: usize,
    sentence: String,
    what: &'static str,
}

/// The facts without a mark on the pages of the project in `root`, and the exemptions that nothing
/// needs any more.
///
/// # Errors
/// When the pages or the exemptions cannot be read.
pub fn unmarked(root: &Path) -> Result<Vec<Problem>> {
    let (book, _) = build::survey(root)?;
    let file = book.source.join("evidence").join(EXEMPTIONS);
    let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
    let exemptions: Exemptions =
        toml::from_str(&text).with_context(|| format!("{} is wrong", file.display()))?;
    let mut open: Vec<&Exemption> = exemptions.exempt.iter().collect();
    let mut problems = Vec::new();
    for page in &book.pages {
        for fact in facts(page.text.file()) {
            let name = page.source.to_string_lossy();
            let covers = |exemption: &Exemption| {
                *exemption.page.get_ref() == name && fact.sentence.contains(&exemption.says)
            };
            open.retain(|exemption| !covers(exemption));
            if !exemptions.exempt.iter().any(covers) {
                let Fact {
                    line,
                    sentence,
                    what,
                } = fact;
                let message = format!(
                    "{what} without a mark: “{sentence}” Add {{{{#ev ID}}}} behind the full stop; or \
                     exempt the sentence, with the reason, in {}",
                    file.display()
                );
                problems.push(Problem::new(book.file(page), line, message));
            }
        }
    }
    let line = |exemption: &Exemption| line_at(&text, exemption.page.span().start);
    problems.extend(open.into_iter().map(|exemption| {
        let message = format!(
            "no unmarked fact says “{}” any more; remove the entry",
            exemption.says
        );
        Problem::new(&file, line(exemption), message)
    }));
    let without_reason = exemptions.exempt.iter().filter(|e| e.why.trim().is_empty());
    problems.extend(without_reason.map(|exemption| {
        Problem::new(
            &file,
            line(exemption),
            "an exemption without a reason; write `why`",
        )
    }));
    problems.sort();
    Ok(problems)
}

/// The facts without a mark in the text of a page.
fn facts(page: &str) -> Vec<Fact> {
    let mut reader = Reader::default();
    let offsets: Vec<usize> = (0..=page.len()).collect();
    reader.read(page, &offsets);
    let facts = reader.blocks.iter().flat_map(|block| {
        block.sentences().filter_map(|sentence| {
            Some(Fact {
                line: line_at(page, block.place(sentence.start)),
                what: block.unmarked(&sentence)?,
                sentence: block.words(&sentence),
            })
        })
    });
    facts.collect()
}

/// A paragraph, an item, a definition or a row of a table.
#[derive(Default)]
struct Block {
    text: String,
    /// The text with every letter of its code, names of drawings and guarantees blotted out.
    prose: String,
    /// Where pieces of the text begin, in it and on the page.
    places: Vec<(usize, usize)>,
    /// A mark in a row of a table is for the whole row.
    is_row: bool,
}

impl Block {
    fn push(&mut self, text: &str, is_code: bool, place: usize) {
        self.places.push((self.text.len(), place));
        self.text.push_str(text);
        match is_code {
            true => self.prose.push_str(&blotted(text)),
            false => self.prose.push_str(text),
        }
    }

    /// Blots out what looks like a fact and is none.
    fn finish(&mut self) {
        for pattern in [&*GUARANTEES, &*DRAWING] {
            let blot = |found: &regex::Captures<'_>| blotted(&found[0]);
            self.prose = pattern.replace_all(&self.prose, blot).into_owned();
        }
    }

    fn sentences(&self) -> impl Iterator<Item = Range<usize>> {
        let ends = END.find_iter(&self.prose).map(|end| end.end());
        let is_row = self.is_row;
        let mut ends: Vec<usize> = ends.filter(|_| !is_row).collect();
        ends.push(self.text.len());
        let mut start = 0;
        ends.into_iter().map(move |end| {
            let sentence = start..end;
            start = end;
            sentence
        })
    }

    /// What kind of fact a sentence is, when no mark stands in or behind it.
    fn unmarked(&self, sentence: &Range<usize>) -> Option<&'static str> {
        let prose = &self.prose[sentence.clone()];
        if MARK.is_match(prose) || (!self.is_row && NO_FACT.is_match(prose)) {
            return None;
        }
        let found = FACTS.iter().find(|(fact, _)| fact.is_match(prose));
        found.map(|(_, what)| *what)
    }

    fn words(&self, sentence: &Range<usize>) -> String {
        let text = DRAWING.replace(&self.text[sentence.clone()], "");
        text.trim().trim_end_matches("}}").to_owned()
    }

    fn place(&self, offset: usize) -> usize {
        let before = self.places.iter().take_while(|(start, _)| *start <= offset);
        before
            .last()
            .map_or(0, |(start, place)| place + (offset - start))
    }
}

/// As many letters that say nothing.
fn blotted(text: &str) -> String {
    "x".repeat(text.len())
}

/// Reads the prose of a page: no headings, terms, heads of tables, steps and listings.
#[derive(Default)]
struct Reader {
    blocks: Vec<Block>,
    block: Block,
    /// How many of what is left out are open.
    skipped: usize,
}

impl Reader {
    /// Reads Markdown whose bytes stand at these offsets of the page.
    fn read(&mut self, text: &str, offsets: &[usize]) {
        let mut callout: Option<(String, Vec<usize>)> = None;
        for (event, range) in Parser::new_ext(text, options()).into_offset_iter() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info)))
                    if info.starts_with("admonish") =>
                {
                    callout = Some((String::new(), Vec::new()));
                }
                Event::Start(tag) => self.start(&tag, offsets[range.start]),
                Event::End(TagEnd::CodeBlock) if callout.is_some() => {
                    self.end_block();
                    if let Some((text, mut inside)) = callout.take() {
                        inside.push(offsets[range.end]);
                        self.read(&text, &inside);
                    }
                }
                Event::End(tag) => self.end(tag),
                Event::Text(piece) => match &mut callout {
                    Some((text, inside)) => {
                        text.push_str(&piece);
                        inside.extend(&offsets[range.start..range.start + piece.len()]);
                    }
                    None => self.piece(&piece, false, offsets[range.start]),
                },
                Event::Code(code) => {
                    self.piece(&format!("`{code}`"), true, offsets[range.start]);
                }
                Event::SoftBreak | Event::HardBreak => {
                    self.piece(" ", false, offsets[range.start]);
                }
                _ => {}
            }
        }
        self.end_block();
    }

    fn piece(&mut self, text: &str, is_code: bool, place: usize) {
        if self.skipped == 0 {
            self.block.push(text, is_code, place);
        }
    }

    fn start(&mut self, tag: &Tag<'_>, place: usize) {
        match tag {
            Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } => {}
            Tag::TableCell => self.piece(" ", false, place),
            tag => {
                self.end_block();
                self.block.is_row = matches!(tag, Tag::TableRow);
                self.skipped += usize::from(ends_left_out(&tag.to_end()));
            }
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link => {}
            TagEnd::TableCell => {}
            tag => {
                self.end_block();
                self.skipped -= usize::from(ends_left_out(&tag)).min(self.skipped);
            }
        }
    }

    fn end_block(&mut self) {
        let mut block = std::mem::take(&mut self.block);
        if !block.text.trim().is_empty() {
            block.finish();
            self.blocks.push(block);
        }
    }
}

fn ends_left_out(tag: &TagEnd) -> bool {
    matches!(
        tag,
        TagEnd::Heading(_)
            | TagEnd::TableHead
            | TagEnd::DefinitionListTitle
            | TagEnd::CodeBlock
            | TagEnd::List(true)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, kind and words of what is unmarked.
    fn found(page: &str) -> Vec<(usize, &'static str, String)> {
        let facts = facts(page).into_iter();
        facts
            .map(|fact| (fact.line, fact.what, fact.sentence))
            .collect()
    }

    #[test]
    fn numbers_with_units_defaults_and_limits_are_facts() {
        for (sentence, kind) in [
            ("It waits 3 s.", "a number with a unit"),
            ("It waits for five minutes.", "a number with a unit"),
            ("It takes 10 % more.", "a number with a unit"),
            ("A message has 256 KiB.", "a number with a unit"),
            ("It costs 0.40 dollars.", "a number with a unit"),
            ("It is off by default.", "a default"),
            (
                "At most ten may be sent.",
                "a limit or a word for every case",
            ),
            (
                "It takes up to 10 entries.",
                "a limit or a word for every case",
            ),
            (
                "It is never read twice.",
                "a limit or a word for every case",
            ),
            ("It takes more than 10.", "a limit or a word for every case"),
        ] {
            let expected = vec![(1, kind, sentence.to_owned())];
            assert_eq!(found(sentence), expected, "{sentence}");
            assert_eq!(
                found(&format!("{sentence} {{{{#ev x}}}} More.")),
                [],
                "{sentence}"
            );
        }
    }

    #[test]
    fn what_states_no_fact_is_left_alone() {
        for page in [
            "It is at least once, or exactly once.",
            "Three members share 4 partitions.",
            "Set `linger.ms=5 s` and `never`.",
            "Never print it.",
            "You will know what the default is.",
            "# Always",
            "Never again\n: It stops.",
            "1. Wait 5 s.\n2. Never stop.",
            "| 5 s |\n|---|\n| x |",
            "```text\nalways 5 s\n```",
            "{{#proof kafka_x:limits}}",
        ] {
            assert_eq!(found(page), [], "{page}");
        }
    }

    #[test]
    fn each_sentence_has_its_line_and_its_own_mark() {
        let page =
            "It stays 4 days. It is\nalways read. {{#ev x}} And\nit costs 5 dollars\na day.\n";
        assert_eq!(
            found(page),
            [
                (1, "a number with a unit", "It stays 4 days.".to_owned()),
                (
                    2,
                    "a number with a unit",
                    "And it costs 5 dollars a day.".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn items_terms_rows_callouts_and_captions_are_read() {
        let unit = "a number with a unit";
        for (page, expected) in [
            (
                "- a\n- It waits 5 s.\n",
                vec![(2, unit, "It waits 5 s.".to_owned())],
            ),
            (
                "Term\n: It waits 5 s.\n",
                vec![(2, unit, "It waits 5 s.".to_owned())],
            ),
            (
                "| a | b |\n|---|---|\n| x | 5 s |\n",
                vec![(3, unit, "x 5 s".to_owned())],
            ),
            (
                "| a | b |\n|---|---|\n| Never sent | y |\n",
                vec![(
                    3,
                    "a limit or a word for every case",
                    "Never sent y".to_owned(),
                )],
            ),
            ("| a | b |\n|---|---|\n| 5 s | y {{#ev x}} |\n", vec![]),
            (
                "```admonish trap title=\"Trap: 5 s\"\nIt is.\nIt waits 5 s.\n```\n",
                vec![(3, unit, "It waits 5 s.".to_owned())],
            ),
            (
                "{{#drawing a | **It.** It waits 5 s.}}\n",
                vec![(1, unit, "It waits 5 s.".to_owned())],
            ),
            ("{{#drawing a | It waits 5 s. {{#ev x}}}}\n", vec![]),
        ] {
            assert_eq!(found(page), expected, "{page}");
        }
    }
}
