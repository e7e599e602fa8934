//! What readers type where the guide has another word.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

use super::words;

/// Each with its reason.
const FILE: &str = include_str!("../synonyms.toml");

/// What the word of the reader is worth where the guide has its own.
const SHARE: f32 = 0.6;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    synonym: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Words and phrases that stand in the guide.
    guide: Vec<String>,
    /// Words that readers look for them by.
    readers: Vec<String>,
    /// Why they are the same to a reader.
    #[cfg_attr(not(test), expect(dead_code))]
    reason: String,
}

/// The stems of a phrase after its first, and what readers type for it.
type Phrase = (Vec<String>, Vec<String>);

/// Phrases by their first stem.
static PHRASES: LazyLock<HashMap<String, Vec<Phrase>>> = LazyLock::new(|| {
    let mut phrases: HashMap<String, Vec<Phrase>> = HashMap::new();
    for entry in entries() {
        let readers: Vec<String> = entry
            .readers
            .iter()
            .flat_map(|text| stems_of(text))
            .collect();
        for phrase in &entry.guide {
            let mut rest = stems_of(phrase);
            if !rest.is_empty() {
                let first = rest.remove(0);
                let phrase = (rest, readers.clone());
                phrases.entry(first).or_default().push(phrase);
            }
        }
    }
    phrases
});

fn stems_of(text: &str) -> Vec<String> {
    words::of(text).map(|word| words::stem(&word)).collect()
}

fn entries() -> Vec<Entry> {
    let file: Result<File, _> = toml::from_str(FILE);
    file.expect("a constant file").synonym
}

/// What readers type for the phrases in a line of stems, and what each is worth.
pub fn of(stems: &[String]) -> impl Iterator<Item = (&'static str, f32)> {
    let mut found = Vec::new();
    for (at, first) in stems.iter().enumerate() {
        for (rest, readers) in PHRASES.get(first).into_iter().flatten() {
            if stems[at + 1..].starts_with(rest) {
                found.extend(readers.iter().map(|reader| (reader.as_str(), SHARE)));
            }
        }
    }
    found.into_iter()
}

/// The words of readers as they type them.
pub fn readers() -> impl Iterator<Item = String> {
    let readers = entries().into_iter().flat_map(|entry| entry.readers);
    readers.flat_map(|reader| words::of(&reader).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_its_reason_and_another_word() {
        for entry in entries() {
            assert!(entry.reason.len() > 10, "{:?}", entry.guide);
            let guide: Vec<Vec<String>> = entry.guide.iter().map(|text| stems_of(text)).collect();
            // Words of a kind may stand on both sides: each then finds the others.
            let adds = |reader: &String| !guide.contains(&stems_of(reader));
            assert!(
                entry.readers.iter().any(adds) || guide.len() > 1,
                "{:?}",
                entry.guide
            );
        }
    }

    #[test]
    fn a_phrase_is_found_within_a_line() {
        let found = |line: &str| {
            let stems: Vec<String> = words::of(line).map(|word| words::stem(&word)).collect();
            of(&stems).any(|(reader, _)| reader == "dlq")
        };
        assert!(found("a queue of dead letters"));
        assert!(!found("letters of the dead"));
    }
}
