//! The index of the search: what a reader's query needs of it comes in small pieces, and nothing of it
//! before the first query.
//!
//! `search/search.js` is the code with the list of the pieces. The words lie in sorted pieces
//! (`w-HASH.txt`), the names of the sections in others (`s-HASH.json`). A hash of its content stands in
//! each piece's name.

mod sections;
mod words;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::{Arc, LazyLock},
};

use anyhow::{Context, Result};
use serde_json::json;

use crate::memo::Memo;

/// The code that reads the index.
const SCRIPT: &str = include_str!("search.js");

/// Bytes of a piece of words, before compression.
const WORDS: usize = 6_000;
/// Bytes of a piece of names, before compression.
const NAMES: usize = 6_000;

/// A word in more than this share of the sections tells nothing by being in one.
const COMMON: f64 = 0.3;

/// How much a word weighs in a section.
const SEVERAL: u32 = 1;
const IN_HEADING: u32 = 2;
const IN_TITLE: u32 = 3;

/// The words and sections of the pages so far.
#[derive(Default)]
pub struct Index {
    /// Name, part, address, and the sections of each page.
    pages: Vec<serde_json::Value>,
    /// The number of each page's first section.
    starts: Vec<usize>,
    sections: usize,
    /// The sections of each word, with its weight there.
    words: BTreeMap<String, Vec<(usize, u32)>>,
}

/// The sections of a page as the index takes them.
pub struct Sections {
    /// Name, part, address, and id and heading of each section.
    page: serde_json::Value,
    words: Arc<Words>,
}

/// The words of each section of a page, with their weights there.
type Words = Vec<HashMap<String, u32>>;

/// Id and heading of each section, and the words, of pages by their HTML.
type Known = Memo<(Vec<(String, String)>, Arc<Words>)>;

static KNOWN: LazyLock<Known> = LazyLock::new(Memo::default);

impl Sections {
    /// Reads the sections of a rendered page.
    ///
    /// # Errors
    /// The page can't be parsed.
    pub fn of(address: &str, name: &str, part: &str, html: &str) -> Result<Self> {
        let (names, words) = KNOWN.try_get_or(html, || {
            let sections = sections::of(html)?;
            let words = sections.iter().enumerate().map(|(number, section)| {
                let in_heading = if number == 0 { IN_TITLE } else { IN_HEADING };
                weights(section, in_heading)
            });
            let words = Arc::new(words.collect());
            let names = sections.into_iter().map(|s| (s.id, s.heading)).collect();
            anyhow::Ok((names, words))
        })?;
        Ok(Self {
            page: json!([name, part, address, names]),
            words,
        })
    }
}

fn weights(section: &sections::Section, in_heading: u32) -> HashMap<String, u32> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for word in words::of(&section.text) {
        *counts.entry(word).or_default() += 1;
    }
    let weigh = |(word, count)| (word, if count > 2 { SEVERAL } else { 0 });
    let mut weights: HashMap<_, _> = counts.into_iter().map(weigh).collect();
    weights.extend(words::of(&section.heading).map(|word| (word, in_heading)));
    weights
}

impl Index {
    /// Adds a page.
    pub fn add(&mut self, page: Sections) {
        self.starts.push(self.sections);
        self.pages.push(page.page);
        for words in page.words.iter() {
            for (word, weight) in words {
                let places = self.words.entry(word.clone()).or_default();
                places.push((self.sections, *weight));
            }
            self.sections += 1;
        }
    }

    /// Writes the index below the site's folder.
    ///
    /// # Errors
    /// A file can't be written.
    pub fn write(&self, site: &Path) -> Result<()> {
        let folder = site.join("search");
        fs::create_dir_all(&folder).context("cannot make the folder search")?;
        let words = write_pieces(&folder, "w", "txt", self.word_pieces())?;
        let names = write_pieces(&folder, "s", "json", self.name_pieces())?;
        let list = json!({ "sections": self.sections, "words": words, "names": names });
        let script = format!("const INDEX = {list};\n{SCRIPT}");
        fs::write(folder.join("search.js"), script).context("cannot write search.js")
    }

    /// The first word of each piece, and the piece: a line for each word, which is followed by `*` when
    /// it is common, and by the sections that have it as the distance to the one before, times four, plus
    /// the weight, to the base of 36. Of a common word only where it weighs something.
    fn word_pieces(&self) -> Vec<(serde_json::Value, String)> {
        let mut pieces: Vec<(serde_json::Value, String)> = Vec::new();
        for (word, places) in &self.words {
            let is_common = places.len() as f64 > COMMON * self.sections as f64;
            let mut line = word.clone();
            line += if is_common { "*" } else { "" };
            let mut before = 0;
            for (section, weight) in places {
                if !is_common || *weight >= IN_HEADING {
                    line.push(' ');
                    push_number(&mut line, (section - before) * 4 + *weight as usize);
                    before = *section;
                }
            }
            match pieces.last_mut() {
                Some((_, piece)) if piece.len() + line.len() < WORDS => {
                    piece.push('\n');
                    piece.push_str(&line);
                }
                _ => pieces.push((json!(word), line)),
            }
        }
        pieces
    }

    /// The first section of each piece, and the piece: its pages.
    fn name_pieces(&self) -> Vec<(serde_json::Value, String)> {
        let mut pieces: Vec<(serde_json::Value, String)> = Vec::new();
        for (page, start) in self.pages.iter().zip(&self.starts) {
            let page = page.to_string();
            match pieces.last_mut() {
                Some((_, piece)) if piece.len() + page.len() < NAMES => {
                    piece.push(',');
                    piece.push_str(&page);
                }
                _ => pieces.push((json!(start), format!("[{page}"))),
            }
        }
        pieces.iter_mut().for_each(|(_, piece)| piece.push(']'));
        pieces
    }
}

fn write_pieces(
    folder: &Path,
    kind: &str,
    extension: &str,
    pieces: Vec<(serde_json::Value, String)>,
) -> Result<Vec<serde_json::Value>> {
    let pieces = pieces.into_iter().map(|(first, piece)| {
        let mut hasher = DefaultHasher::new();
        piece.hash(&mut hasher);
        let name = format!("{kind}-{:08x}.{extension}", hasher.finish() as u32);
        fs::write(folder.join(&name), piece).with_context(|| format!("cannot write {name}"))?;
        Ok(json!([first, name]))
    });
    pieces.collect()
}

/// Appends a number to the base of 36.
fn push_number(text: &mut String, number: usize) {
    if number >= 36 {
        push_number(text, number / 36);
    }
    let digit = u32::try_from(number % 36).ok();
    text.extend(digit.and_then(|digit| char::from_digit(digit, 36)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_to_the_base_of_36() {
        let mut text = String::new();
        push_number(&mut text, 36 * 36 + 35);
        assert_eq!(text, "10z");
    }

    #[test]
    fn a_common_word_is_listed_only_where_it_weighs() {
        let mut index = Index::default();
        for number in 0..4 {
            let html =
                format!("<main><h1>Page {number}</h1><p>the</p><h2 id=a>of the x</h2></main>");
            let address = format!("{number}.html");
            index.add(Sections::of(&address, "Page", "Part", &html).unwrap());
        }
        let words = index.word_pieces().remove(0).1;
        let line = |word: &str| {
            let mut lines = words.lines();
            lines
                .find(|line| line.starts_with(word))
                .unwrap()
                .to_owned()
        };
        assert_eq!(line("0"), "0 3");
        assert_eq!(line("the"), "the* 6 a a a");
        assert_eq!(index.sections, 8);
    }
}
