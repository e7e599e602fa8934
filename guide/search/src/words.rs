//! The words of a text, as a reader may type them, and their stems.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use rust_stemmers::{Algorithm, Stemmer};

/// The words in lower case: runs of letters and digits. Names made of several (`basic_qos`,
/// `enable.auto.commit`, `AllBrokersDown`) are there by their parts and as a whole without what
/// separates them.
pub fn of(text: &str) -> impl Iterator<Item = String> + '_ {
    let names = text.split(|c: char| !c.is_alphanumeric() && !SEPARATORS.contains(&c));
    names.flat_map(|name| {
        let runs: Vec<&str> = name
            .split(SEPARATORS)
            .filter(|run| !run.is_empty())
            .collect();
        let whole = (runs.len() > 1).then(|| runs.concat());
        let parts = runs.into_iter().flat_map(|run| {
            let parts = camel_parts(run);
            let parts = if parts.len() > 1 { parts } else { Vec::new() };
            std::iter::once(run).chain(parts).map(str::to_owned)
        });
        let words = whole
            .into_iter()
            .chain(parts)
            .filter(|word| word.len() <= LONGEST);
        words.map(|word| word.to_lowercase())
    })
}

/// What stands between the parts of one name.
const SEPARATORS: [char; 3] = ['.', '_', '-'];

/// Longer runs are no words: hashes, encoded data.
const LONGEST: usize = 40;

/// Words that questions are made of, and that are on every page. The browser leaves them out of a
/// query, unless it has no others.
pub const STOPS: &str = "a about all am an and any are as at be been but by can could did do does doing each every for from \
    get gets getting had has have having he her here him his how i if in into is it its itself me must my of on one \
    only or other our ours out over own please shall should so some still such than that the their theirs them \
    then there these they this those through to too under until up upon use used using very was we were what whats \
    when where which while who why will with would you your";

/// Whether a word, in lower case, is one of [`STOPS`].
pub fn is_stop(word: &str) -> bool {
    static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let mut words: Vec<_> = STOPS.split_whitespace().collect();
        words.sort_unstable();
        words
    });
    WORDS.binary_search(&word).is_ok()
}

/// What a word has in common with its other forms: `order`, `orders`, `ordering`. The browser computes the
/// same.
pub fn stem(word: &str) -> String {
    static STEMMER: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));
    static KNOWN: LazyLock<Mutex<HashMap<String, String>>> = LazyLock::new(Mutex::default);
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(stem) = known().get(word) {
        return stem.clone();
    }
    let stem = STEMMER.stem(word).into_owned();
    known().insert(word.to_owned(), stem.clone());
    stem
}

/// `QueueDeletedRecently` as three parts, `HTTPError` as two.
fn camel_parts(run: &str) -> Vec<&str> {
    // Nearly all words of a text.
    if !run.chars().skip(1).any(char::is_uppercase) {
        return vec![run];
    }
    let mut parts = Vec::new();
    let mut start = 0;
    let letters: Vec<(usize, char)> = run.char_indices().collect();
    for (number, (offset, letter)) in letters.iter().enumerate().skip(1) {
        let before = letters[number - 1].1;
        let ends = letters
            .get(number + 1)
            .is_some_and(|(_, after)| after.is_lowercase());
        if letter.is_uppercase() && (before.is_lowercase() || before.is_uppercase() && ends) {
            parts.push(&run[start..*offset]);
            start = *offset;
        }
    }
    parts.push(&run[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_found_whole_and_by_their_parts() {
        let words = |text| of(text).collect::<Vec<_>>().join(" ");
        assert_eq!(
            words("enable.auto.commit=false."),
            "enableautocommit enable auto commit false"
        );
        assert_eq!(words("basic_qos(10)"), "basicqos basic qos 10");
        assert_eq!(
            words("QueueDeletedRecently"),
            "queuedeletedrecently queue deleted recently"
        );
        assert_eq!(words("HTTPError"), "httperror http error");
        assert_eq!(words("NOT_FOUND - no queue"), "notfound not found no queue");
    }

    #[test]
    fn forms_of_a_word_have_one_stem() {
        for form in ["orders", "ordered", "ordering"] {
            assert_eq!(stem(form), stem("order"));
        }
        assert!(is_stop("how") && !is_stop("no"));
    }
}
