//! What is wrong with the book, as lines that name a file and a line.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// One mistake in the book: where it is, what it is and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the root of the project.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong; what to do. One line.
    pub message: String,
}

impl Problem {
    /// A problem at a line of a file.
    pub fn new(file: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        let message = message.into().replace('\n', " ");
        Self {
            file: file.into(),
            line,
            message,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.message)
    }
}

/// What is wrong and what to do about it, where the place is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint(String);

impl Complaint {
    /// The complaint at its place.
    pub fn at(self, file: impl Into<PathBuf>, line: usize) -> Problem {
        Problem::new(file, line, self.0)
    }
}

impl From<String> for Complaint {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for Complaint {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<Complaint> for String {
    fn from(complaint: Complaint) -> Self {
        complaint.0
    }
}

impl PartialEq<str> for Complaint {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Complaint {}

/// Everything that is wrong, one line each, sorted by file and line.
#[derive(Debug)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok` when nothing is wrong.
    ///
    /// # Errors
    /// All problems, sorted, when there are any.
    pub fn check(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort();
        problems.dedup();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self(problems))
        }
    }

    /// The problems, sorted by file and line.
    pub fn list(&self) -> &[Problem] {
        &self.0
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The line, from 1, at a byte offset of a text.
pub fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The first line, from 1, that contains `needle`; 1 when none does.
pub fn line_of(text: &str, needle: &str) -> usize {
    text.find(needle).map_or(1, |offset| line_at(text, offset))
}

/// `path` as it is named in messages: relative to `root` where it lies below it.
pub fn shown<'a>(root: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// The beginning of a text that may be very long: about 200 characters.
pub fn cut(text: &str) -> String {
    const LONGEST: usize = 200;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"é".repeat(5000)).chars().count(), 201);
    }
}
