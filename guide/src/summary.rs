//! `SUMMARY.md`: every entry has its file, and the file can be read.

use std::{fs, io::ErrorKind, path::Path, sync::LazyLock};

use regex::Regex;

use crate::errors::Problem;

/// A link of the summary with a file behind it; drafts have none.
static ENTRY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\]\(([^)]+)\)").expect("a constant pattern"));

/// The entries of `SUMMARY.md` in the folder `source` of the project whose file is missing, and
/// files that are no text.
pub fn unreadable_pages(root: &Path, source: &Path) -> Vec<Problem> {
    let file = source.join("SUMMARY.md");
    let text = match fs::read_to_string(root.join(&file)) {
        Ok(text) => text,
        Err(e) => {
            return vec![Problem::new(
                file,
                1,
                format!("cannot read it: {e}; write it"),
            )];
        }
    };
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entries = ENTRY.captures_iter(line);
        for path in entries.filter_map(|entry| entry.get(1)) {
            let page = source.join(path.as_str());
            let problem = match fs::read_to_string(root.join(&page)) {
                Ok(_) => continue,
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    let path = path.as_str();
                    let message =
                        format!("the page `{path}` has no file; write it or remove the entry");
                    Problem::new(&file, index + 1, message)
                }
                Err(e) => Problem::new(&page, 1, format!("cannot read it: {e}; save it as UTF-8")),
            };
            problems.push(problem);
        }
    }
    problems
}
