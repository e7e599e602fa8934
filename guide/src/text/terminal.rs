//! What is printed for the person who started the program.

use std::io::{self, Write};

use super::problem::Problems;

/// An error as it is shown: each problem of the book on its line, anything else on one line.
pub fn one_line_each(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Problems>() {
        Some(problems) => problems.to_string(),
        None => format!("{error:#}").replace('\n', " "),
    }
}

/// Prints a line. Whoever reads it may have gone (`guide | head -1`): that is no reason to end.
pub fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line to stderr, which nobody may be reading.
pub fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
