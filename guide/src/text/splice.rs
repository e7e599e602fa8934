//! A text with some of its parts replaced.

use std::ops::Range;

/// `text` with each range replaced by what stands beside it. The ranges are in order and do not overlap;
/// one that begins before the end of the last is left out.
pub fn splice<S: AsRef<str>>(
    text: &str,
    edits: impl IntoIterator<Item = (Range<usize>, S)>,
) -> String {
    let mut spliced = String::with_capacity(text.len());
    let mut copied = 0;
    for (range, replacement) in edits {
        if range.start >= copied {
            spliced.push_str(&text[copied..range.start]);
            spliced.push_str(replacement.as_ref());
            copied = range.end;
        }
    }
    spliced.push_str(&text[copied..]);
    spliced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_the_edits_stays() {
        assert_eq!(
            splice("a b c", [(0..1, "x"), (2..3, ""), (2..2, "no")]),
            "x  c"
        );
        assert_eq!(splice("a", [] as [(Range<usize>, &str); 0]), "a");
    }
}
