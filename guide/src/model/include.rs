//! mdBook's own directives: a page with the files that it includes in their place. What mdBook would leave
//! out without a word (a file, an anchor, lines that do not exist) is an error of the page.

use std::{
    collections::BTreeSet,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use super::directive::{self, Token};
use crate::text::problem::{Complaint, Problem, line_at};

/// What mdBook expands.
pub const MDBOOK: [&str; 3] = ["include", "rustdoc_include", "playground"];

static ANCHOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"ANCHOR(_END)?:\s*([\w_-]+)").expect("a constant pattern"));

/// How deep an included file may include others, as in mdBook.
const DEEPEST: usize = 10;

/// The text of a page as its reader gets it, and where each piece of it stands in the page's file.
#[derive(Debug, Default)]
pub struct Source {
    /// The text, with what it includes.
    pub text: String,
    /// The title of the window, when the page sets one.
    pub title: Option<String>,
    /// The file as it was read.
    file: String,
    pieces: Vec<Piece>,
    /// Where braces stand that are meant as text.
    literal: BTreeSet<usize>,
}

/// A piece of the text that is the file's own, or was included by one directive.
#[derive(Debug)]
struct Piece {
    start: usize,
    /// Where it begins in the file.
    origin: usize,
    is_included: bool,
}

impl Source {
    /// A page's text, with the files that it includes; `folder` is the folder of its file, `shown` its
    /// name.
    pub fn read(file: String, folder: &Path, shown: &Path) -> (Self, Vec<Problem>) {
        let mut source = Self::default();
        let mut problems = Vec::new();
        let mut copied = 0;
        for token in directive::tokens(&file) {
            let Range { start, end } = token.range;
            let replacement = match token.name.as_str() {
                _ if token.is_escaped => {
                    // The backslash goes, the braces stay.
                    source.own(&file, copied..start - 1);
                    source.literal.insert(source.text.len());
                    copied = start;
                    continue;
                }
                "title" => {
                    source.title = Some(token.arguments);
                    Ok(String::new())
                }
                name if MDBOOK.contains(&name) => included(&token, folder, &mut Vec::new()),
                _ => continue,
            };
            source.own(&file, copied..start);
            copied = end;
            match replacement {
                Ok(text) => source.included(&text, start),
                Err(complaint) => problems.push(complaint.at(shown, line_at(&file, start))),
            }
        }
        source.own(&file, copied..file.len());
        source.file = file;
        (source, problems)
    }

    fn own(&mut self, file: &str, range: Range<usize>) {
        self.pieces.push(Piece {
            start: self.text.len(),
            origin: range.start,
            is_included: false,
        });
        self.text.push_str(&file[range]);
    }

    fn included(&mut self, text: &str, origin: usize) {
        self.pieces.push(Piece {
            start: self.text.len(),
            origin,
            is_included: true,
        });
        self.text.push_str(text);
    }

    fn piece(&self, offset: usize) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.start <= offset);
        self.pieces[..after].last()
    }

    /// The file as it was read.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line of the page's file from which a byte of the text comes.
    pub fn line_at(&self, offset: usize) -> usize {
        let origin = self
            .piece(offset)
            .map_or(offset, |piece| match piece.is_included {
                true => piece.origin,
                false => piece.origin + (offset - piece.start),
            });
        line_at(&self.file, origin)
    }

    /// The line of the file's first text that is `needle`; 1 when there is none.
    pub fn line_of(&self, needle: &str) -> usize {
        self.text
            .find(needle)
            .map_or(1, |offset| self.line_at(offset))
    }

    /// Whether braces at an offset are text: behind a backslash, or in an included file.
    pub fn is_literal(&self, offset: usize) -> bool {
        self.literal.contains(&offset) || self.piece(offset).is_some_and(|piece| piece.is_included)
    }
}

/// The files that a page includes, relative to its folder.
pub fn files(text: &str) -> Vec<String> {
    let includes = directive::tokens(text).filter(|t| MDBOOK.contains(&t.name.as_str()));
    includes.map(|token| target(&token).0.to_owned()).collect()
}

/// The file and the part, anchor or lines, that a directive includes.
fn target(token: &Token) -> (&str, &str) {
    let target = token
        .arguments
        .split_whitespace()
        .next()
        .unwrap_or_default();
    target.split_once(':').unwrap_or((target, ""))
}

/// What a directive includes; `open` are the files that are being included.
fn included(token: &Token, folder: &Path, open: &mut Vec<PathBuf>) -> Result<String, Complaint> {
    let (file, part) = target(token);
    let path = folder.join(file);
    let text = fs::read_to_string(&path)
        .map_err(|_| format!("the included file `{file}` does not exist; correct the path"))?;
    let path = path.canonicalize().unwrap_or(path);
    if open.contains(&path) || open.len() > DEEPEST {
        let message = format!("the included file `{file}` includes itself; remove one include");
        return Err(message.into());
    }
    let text = match token.name.as_str() {
        "playground" => playground(token, &text),
        name => {
            let lines: Vec<&str> = text.lines().collect();
            let kept = kept(&lines, part).map_err(|what| {
                format!("{what} in the included file `{file}`; add or correct it")
            })?;
            kept.of(&lines, name == "rustdoc_include")
        }
    };
    open.push(path);
    let text = nested(
        &text,
        folder.join(file).parent().unwrap_or(folder),
        file,
        open,
    );
    open.pop();
    text
}

/// An included text with what it includes itself.
fn nested(
    text: &str,
    folder: &Path,
    file: &str,
    open: &mut Vec<PathBuf>,
) -> Result<String, Complaint> {
    let mut whole = String::with_capacity(text.len());
    let mut copied = 0;
    for token in directive::tokens(text) {
        let Range { start, end } = token.range;
        match token.name.as_str() {
            _ if token.is_escaped => {
                whole.push_str(&text[copied..start - 1]);
                copied = start;
            }
            name if MDBOOK.contains(&name) => {
                whole.push_str(&text[copied..start]);
                whole.push_str(&included(&token, folder, open)?);
                copied = end;
            }
            name if directive::OURS.contains(&name) => {
                return Err(format!(
                    "the included file `{file}` holds {{{{#{name}}}}}, which works in pages only; move it"
                )
                .into());
            }
            _ => {}
        }
    }
    whole.push_str(&text[copied..]);
    Ok(whole)
}

/// A whole file as a listing.
fn playground(token: &Token, text: &str) -> String {
    let words: Vec<&str> = token.arguments.split_whitespace().skip(1).collect();
    let comma = if words.is_empty() { "" } else { "," };
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("```rust{comma}{}\n{text}{end}```\n", words.join(","))
}

/// Which lines of a file are meant, from 0.
struct Kept {
    lines: Range<usize>,
    /// Whether they are named by numbers: then comments with anchors are lines as others.
    is_range: bool,
}

impl Kept {
    /// The lines as text, with all others hidden behind `# ` or left out.
    fn of(&self, lines: &[&str], hides: bool) -> String {
        let mut shown = Vec::with_capacity(lines.len());
        for (number, line) in lines.iter().enumerate() {
            match self.lines.contains(&number) {
                _ if !self.is_range && ANCHOR.is_match(line) => {}
                true => shown.push((*line).to_owned()),
                false if hides => shown.push(format!("# {line}")),
                false => {}
            }
        }
        shown.join("\n")
    }
}

/// The lines that a part names: `anchor`, `3`, `3:`, `:5`, `3:5`; all without a part.
fn kept(lines: &[&str], part: &str) -> Result<Kept, String> {
    let mut words = part.splitn(3, ':');
    let (first, last) = (words.next().unwrap_or_default(), words.next());
    let range = |lines| Kept {
        lines,
        is_range: true,
    };
    let number = |word: &str| word.parse::<usize>().ok();
    let (start, end) = match (first, number(first), last) {
        ("", _, None) => return Ok(range(0..lines.len())),
        ("", _, Some(last)) => (1, last),
        (_, Some(start), None) => (start, first),
        (_, Some(start), Some(last)) => (start, last),
        (anchor, None, _) => return anchored(lines, anchor),
    };
    let start = start.saturating_sub(1);
    let end = match (end, number(end)) {
        ("", _) => lines.len(),
        (_, Some(end)) => end.min(lines.len()),
        (word, None) => return Err(format!("`{word}` is no line number")),
    };
    match start < end {
        true => Ok(range(start..end)),
        false => Err(format!("no lines `{part}` (it has {})", lines.len())),
    }
}

fn anchored(lines: &[&str], anchor: &str) -> Result<Kept, String> {
    let is = |line: &str, ends: bool| {
        let found = ANCHOR.captures(line);
        found.is_some_and(|found| &found[2] == anchor && found.get(1).is_some() == ends)
    };
    let missing = || format!("no anchor `{anchor}`");
    let start = lines
        .iter()
        .position(|line| is(line, false))
        .ok_or_else(missing)?;
    let length = lines[start..].iter().position(|line| is(line, true));
    let length = length.ok_or_else(|| format!("no end of the anchor `{anchor}`"))?;
    match length > 1 {
        true => Ok(Kept {
            lines: start..start + length,
            is_range: false,
        }),
        false => Err(format!(
            "nothing between the comments of the anchor `{anchor}`"
        )),
    }
}
