//! Holding what a program printed against what was recorded.

use anyhow::{Context, Result, bail};
use guide::examples::Varies;
use regex::Regex;
use similar::{ChangeTag, TextDiff};

/// Compares line by line. What a pattern of `varies` matches may differ.
///
/// # Errors
/// The texts differ (the message is a diff), or a pattern does not match the recorded line and so
/// is not needed any more.
pub fn compare(recorded: &str, printed: &str, varies: &[Varies]) -> Result<()> {
    let expected =
        mask(recorded, varies).context("the record's `varies` does not fit its output")?;
    // A line that does not match stays as it is and shows up in the diff.
    let got = mask_leniently(printed, varies)?;
    if expected == got {
        return Ok(());
    }
    bail!(
        "what it printed is not what was recorded (- recorded, + printed):\n{}",
        diff(&expected, &got)
    )
}

fn mask(text: &str, varies: &[Varies]) -> Result<Vec<String>> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for Varies { line, pattern } in varies {
        let pattern_is = Regex::new(pattern)?;
        let Some(text) = line.checked_sub(1).and_then(|index| lines.get_mut(index)) else {
            bail!("there is no line {line}");
        };
        if !pattern_is.is_match(text) {
            bail!("line {line} has nothing that matches {pattern:?}: {text:?}");
        }
        *text = replaced(&pattern_is, text);
    }
    Ok(lines)
}

fn mask_leniently(text: &str, varies: &[Varies]) -> Result<Vec<String>> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for Varies { line, pattern } in varies {
        if let Some(text) = line.checked_sub(1).and_then(|index| lines.get_mut(index)) {
            *text = replaced(&Regex::new(pattern)?, text);
        }
    }
    Ok(lines)
}

fn replaced(pattern: &Regex, text: &str) -> String {
    pattern.replace_all(text, "(varies)").into_owned()
}

fn diff(expected: &[String], got: &[String]) -> String {
    let (expected, got) = (expected.join("\n") + "\n", got.join("\n") + "\n");
    TextDiff::from_lines(&expected, &got)
        .iter_all_changes()
        .map(|change| {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            format!("  {sign} {change}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_of_line_2() -> [Varies; 1] {
        [Varies {
            line: 2,
            pattern: r"offset \d+".to_owned(),
        }]
    }

    #[test]
    fn what_varies_may_differ_and_nothing_else() {
        let recorded = "sent\noffset 7, key a\n";
        assert!(compare(recorded, "sent\noffset 12, key a\n", &offset_of_line_2()).is_ok());
        assert!(compare(recorded, "sent\noffset 7, key b\n", &offset_of_line_2()).is_err());
        assert!(compare(recorded, "sent\nno such record\n", &offset_of_line_2()).is_err());
        assert!(compare(recorded, recorded, &[]).is_ok());
        assert!(compare(recorded, "sent\n", &offset_of_line_2()).is_err());
    }

    #[test]
    fn a_difference_is_shown_as_a_diff() {
        let error = compare("one\ntwo\n", "one\nthree\n", &[])
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("    one\n  - two\n  + three\n"), "{error}");
    }

    #[test]
    fn a_pattern_that_is_not_needed_is_an_error() {
        let error = compare("sent\nkey a\n", "sent\nkey a\n", &offset_of_line_2()).unwrap_err();
        assert!(format!("{error:#}").contains("line 2 has nothing that matches"));
    }
}
