//! The index as text that a browser gets in pieces.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::json;

use super::{
    Page,
    counts::{MOST_IN_PAGE, MOST_IN_SECTION},
    words,
};

/// Bytes of a piece of words, before compression: a query has a few words, and each may need its own.
const WORDS: usize = 1_800;
/// Bytes of a piece of headings.
const HEADS: usize = 2_500;
/// Bytes of a piece of sentences.
const TEXTS: usize = 1_000;
/// Bytes of a section's sentences among which one is looked for.
const TEXT: usize = 3_000;

/// The steps of a worth in a page, and in a section.
const IN_PAGE: usize = 26;
const IN_SECTION: usize = 6;

/// A word on a page.
pub struct Posting {
    page: usize,
    worth: f32,
    /// The sections that have it, with its worth there.
    pub sections: Vec<(usize, f32)>,
}

impl Posting {
    /// Of a page with the word's worth there.
    pub fn new(page: usize, worth: f32) -> Self {
        Self {
            page,
            worth,
            sections: Vec::new(),
        }
    }
}

/// The first word of each piece, and the piece: a line for each word. A page that has it is the distance to
/// the one before, nothing for the next one, and a capital letter for its worth there; its sections follow
/// in the same way with small letters.
pub fn of_words(all: &BTreeMap<&str, Vec<Posting>>) -> Vec<(String, String)> {
    let lines = all.iter().map(|(word, postings)| {
        let mut line = format!("{word} ");
        let mut page = 0;
        for posting in postings {
            push(
                &mut line,
                posting.page - page,
                step(posting.worth, MOST_IN_PAGE, IN_PAGE),
                b'A',
            );
            page = posting.page + 1;
            let mut section = 0;
            for (number, worth) in &posting.sections {
                push(
                    &mut line,
                    number - section,
                    step(*worth, MOST_IN_SECTION, IN_SECTION),
                    b'a',
                );
                section = number + 1;
            }
        }
        ((*word).to_owned(), line)
    });
    joined(lines, WORDS)
}

/// Small worths differ more to a reader than great ones, so the steps grow.
fn step(worth: f32, most: f32, steps: usize) -> u8 {
    let share = (worth / most).clamp(0.0, 1.0).sqrt();
    (share * (steps - 1) as f32).round() as u8
}

fn push(line: &mut String, distance: usize, step: u8, first: u8) {
    if distance > 0 {
        let _ = write!(line, "{distance}");
    }
    line.push(char::from(first + step));
}

/// The first page of each piece, and the piece: a line of JSON for each page.
pub fn of_heads(pages: &[Page], id_of: fn(&str) -> String) -> Vec<(usize, String)> {
    let lines = pages.iter().enumerate().map(|(number, page)| {
        let starts: Vec<bool> = chunks(page).iter().map(|(_, starts)| *starts).collect();
        let sections = page.content.sections.iter().zip(&starts);
        let sections = sections.map(|(section, starts)| {
            // Most ids are made of the heading, and the browser can do that, too.
            let id = match id_of(&section.heading) == section.id {
                true => json!(0),
                false => json!(section.id),
            };
            match starts {
                true => json!([section.heading, id, 1]),
                false => json!([section.heading, id]),
            }
        });
        // Of a page of evidence the chunks are its head alone.
        let sections: Vec<_> = sections.collect();
        (
            number,
            json!([page.address, page.part, sections]).to_string(),
        )
    });
    joined(lines, HEADS)
}

/// The sentences of each page in pieces: sections are apart by an empty line.
pub fn of_texts(pages: &[Page]) -> Vec<Vec<String>> {
    let of_page = |page: &Page| {
        if page.is_evidence() {
            return Vec::new();
        }
        let mut pieces: Vec<String> = Vec::new();
        for (text, starts) in chunks(page) {
            match pieces.last_mut() {
                Some(piece) if !starts => {
                    piece.push_str("\n\n");
                    piece.push_str(text);
                }
                _ => pieces.push(text.to_owned()),
            }
        }
        pieces
    };
    pages.iter().map(of_page).collect()
}

/// The sentences of each section, and whether it begins a piece.
fn chunks(page: &Page) -> Vec<(&str, bool)> {
    let mut length = usize::MAX;
    let sections = if page.is_evidence() { 1 } else { usize::MAX };
    let sections = page.content.sections.iter().take(sections);
    sections
        .map(|section| {
            let text = section.prose.as_str();
            let text = &text[..text.floor_char_boundary(TEXT.min(text.len()))];
            let starts = length.saturating_add(text.len()) > TEXTS;
            length = if starts {
                text.len()
            } else {
                length + text.len()
            };
            (text, starts)
        })
        .collect()
}

/// Written words by which slips of the keys are put right, one a line, each with the number of digits of
/// how often it stands in the guide.
pub fn vocabulary(all: &BTreeMap<String, u32>) -> String {
    let is_word =
        |word: &&String| word.len() > 3 && word.len() < 25 && word.chars().all(char::is_alphabetic);
    let words = all.keys().filter(is_word);
    let words = words.filter(|word| !words::is_stop(word));
    let lines = words.map(|word| format!("{word}{}", all[word].ilog2().min(9)));
    lines.collect::<Vec<_>>().join("\n")
}

/// Lines as pieces of some bytes, each with the key of its first line.
fn joined<K>(lines: impl Iterator<Item = (K, String)>, most: usize) -> Vec<(K, String)> {
    let mut pieces: Vec<(K, String)> = Vec::new();
    for (key, line) in lines {
        match pieces.last_mut() {
            Some((_, piece)) if piece.len() + line.len() < most => {
                piece.push('\n');
                piece.push_str(&line);
            }
            _ => pieces.push((key, line)),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_line_of_pages_and_their_sections() {
        let mut posting = Posting::new(3, MOST_IN_PAGE);
        posting.sections = vec![(0, MOST_IN_SECTION), (12, 0.0)];
        let all = BTreeMap::from([("lease", vec![posting, Posting::new(4, 0.0)])]);
        let pieces = of_words(&all);
        assert_eq!(pieces, [("lease".to_owned(), "lease 3Zf11aA".to_owned())]);
    }

    #[test]
    fn pieces_are_full_but_not_fuller() {
        let lines = (0..10).map(|n| (n, "x".repeat(30)));
        let pieces = joined(lines, 100);
        let lengths: Vec<_> = pieces.iter().map(|(_, piece)| piece.len()).collect();
        assert_eq!(lengths, [92, 92, 92, 30]);
        assert_eq!(pieces[1].0, 3);
    }
}
