//! The words of a text, as a reader may type them.

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
}
