//! The programs that readers run, what each printed and when: `snippets/SYSTEM/examples/NAME.rs`,
//! `output/NAME.txt` and `output/NAME.toml`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

/// A program, found by its name.
#[derive(Debug, Clone)]
pub struct Example {
    /// The file's name without `.rs`.
    pub name: String,
    /// The folder of its crate in `snippets/`: `kafka`, `patterns`.
    pub crate_folder: String,
    /// The file's text, with its anchor comments.
    source: String,
}

/// What a program printed, and when and with what it was recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The text of `output/NAME.txt`.
    pub output: String,
    /// The content of `output/NAME.toml`.
    pub record: Record,
}

/// `output/NAME.toml`.
#[derive(Debug, Clone, Deserialize)]
pub struct Record {
    /// The day of the run.
    pub recorded: toml::value::Datetime,
    /// The broker with its version: `Apache Kafka 4.4.0`.
    pub broker: String,
    /// The client library with its version: `rdkafka 0.39.0`.
    pub client: String,
    /// The compiler's version: `1.95.0`.
    pub rust: String,
    /// Lines that differ from run to run.
    #[serde(default)]
    pub varies: Vec<Varies>,
}

/// A line of the output that differs from run to run.
#[derive(Debug, Clone, Deserialize)]
pub struct Varies {
    /// The line, from 1.
    pub line: usize,
    /// A regular expression that the whole line matches in every run.
    pub pattern: String,
}

impl Record {
    /// The day of the run.
    ///
    /// # Errors
    /// When `recorded` holds a time and no date.
    pub fn day(&self) -> Result<toml::value::Date, String> {
        self.recorded
            .date
            .ok_or_else(|| "`recorded` is no date; write it as 2026-11-23".to_owned())
    }
}

impl Example {
    /// Finds a program in `snippets/*/examples` of the project at `root`.
    ///
    /// # Errors
    /// A message that says what is missing, when no crate or more than one has the program.
    pub fn find(root: &Path, name: &str) -> Result<Self, String> {
        let file = format!("examples/{name}.rs");
        let mut found: Vec<PathBuf> = crates(root)
            .into_iter()
            .filter(|folder| folder.join(&file).is_file())
            .collect();
        let folder = match found.len() {
            1 => found.remove(0),
            0 => {
                return Err(format!(
                    "no snippets/*/{file}; write the program or correct the name"
                ));
            }
            _ => return Err(format!("several snippets/*/{file}; give each its own name")),
        };
        let source = fs::read_to_string(folder.join(&file))
            .map_err(|e| format!("cannot read {}: {e}", folder.join(&file).display()))?;
        let crate_folder = folder.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            crate_folder: crate_folder.to_string_lossy().into_owned(),
            source,
        })
    }

    /// The file relative to `snippets/`: `kafka/examples/kafka_groups.rs`.
    pub fn path(&self) -> String {
        format!("{}/examples/{}.rs", self.crate_folder, self.name)
    }

    /// The system it runs on, `kafka` or `sns`: its crate, or for patterns the prefix of its name.
    pub fn system(&self) -> &str {
        if is_system(&self.crate_folder) {
            return &self.crate_folder;
        }
        self.name.split('_').next().unwrap_or_default()
    }

    /// The program as it is shown and copied: the file without its anchor comments.
    pub fn program(&self) -> String {
        lines_without_anchors(self.source.lines())
    }

    /// The lines between `// ANCHOR: anchor` and `// ANCHOR_END: anchor`, moved to the left margin.
    ///
    /// # Errors
    /// A message when the anchor does not open and close exactly once.
    pub fn excerpt(&self, anchor: &str) -> Result<String, String> {
        let lines: Vec<&str> = self.source.lines().collect();
        let position = |kind: &str| {
            let mut at = lines.iter().enumerate();
            let found = at.find(|(_, line)| anchor_name(line, kind) == Some(anchor));
            found.map(|(index, _)| index)
        };
        match (position("ANCHOR:"), position("ANCHOR_END:")) {
            (Some(start), Some(end)) if start < end => {
                let inside = lines_without_anchors(lines[start + 1..end].iter().copied());
                Ok(dedent(&inside))
            }
            _ => Err(format!(
                "no `// ANCHOR: {anchor}` with its `// ANCHOR_END: {anchor}` in snippets/{}; add \
                 the two comments or correct the name",
                self.path()
            )),
        }
    }

    /// What the program printed, and the record of that run.
    ///
    /// # Errors
    /// A message that names the missing or wrong file and how to make it.
    pub fn recording(&self, root: &Path) -> Result<Recording, String> {
        let base = format!("snippets/{}/output/{}", self.crate_folder, self.name);
        let read = |extension: &str| {
            let file = format!("{base}.{extension}");
            fs::read_to_string(root.join(&file)).map_err(|_| {
                let name = &self.name;
                format!("no {file}; record a run: cargo run --bin record {name}")
            })
        };
        let output = read("txt")?;
        let record: Record = toml::from_str(&read("toml")?)
            .map_err(|e| format!("{base}.toml: {}; correct it", e.message()))?;
        record.day().map_err(|e| format!("{base}.toml: {e}"))?;
        Ok(Recording { output, record })
    }
}

/// Whether a folder is one of the four systems, which have a colour.
pub fn is_system(folder: &str) -> bool {
    matches!(folder, "kafka" | "rabbitmq" | "sqs" | "sns")
}

/// The crate folders in `snippets/`, sorted.
fn crates(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("snippets")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

/// A command-line session: `snippets/SYSTEM/transcripts/NAME.sh` with what it printed in `NAME.txt`.
///
/// # Errors
/// A message that says what is missing.
pub fn transcript_output(root: &Path, name: &str) -> Result<String, String> {
    let folders = crates(root).into_iter().map(|c| c.join("transcripts"));
    let mut sessions = folders.filter(|folder| folder.join(format!("{name}.sh")).is_file());
    let folder = sessions.next().ok_or_else(|| {
        format!("no snippets/*/transcripts/{name}.sh; write it or correct the name")
    })?;
    fs::read_to_string(folder.join(format!("{name}.txt")))
        .map_err(|_| format!("no output {name}.txt beside transcripts/{name}.sh; record it"))
}

fn anchor_name<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let comment = line.trim().strip_prefix("//")?.trim_start();
    Some(comment.strip_prefix(kind)?.trim())
}

fn lines_without_anchors<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let is_anchor = |line: &str| {
        anchor_name(line, "ANCHOR:").is_some() || anchor_name(line, "ANCHOR_END:").is_some()
    };
    let mut text = String::new();
    for line in lines.filter(|line| !is_anchor(line)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn dedent(text: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let filled = text.lines().filter(|line| !line.trim().is_empty());
    let margin = filled.map(indent).min().unwrap_or(0);
    let cut = |line: &str| line.get(margin..).unwrap_or_default().to_owned() + "\n";
    text.lines().map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(source: &str) -> Example {
        Example {
            name: "kafka_x".to_owned(),
            crate_folder: "kafka".to_owned(),
            source: source.to_owned(),
        }
    }

    #[test]
    fn an_excerpt_is_dedented_and_shows_no_anchor() {
        let source = "fn main() {\n    // ANCHOR: a\n    one();\n\n    // ANCHOR: b\n      two();\n    \
                      // ANCHOR_END: b\n    // ANCHOR_END: a\n}\n";
        let example = example(source);
        assert_eq!(example.excerpt("a").unwrap(), "one();\n\n  two();\n");
        assert_eq!(
            example.program(),
            "fn main() {\n    one();\n\n      two();\n}\n"
        );
        assert!(example.excerpt("c").unwrap_err().contains("ANCHOR: c"));
    }

    #[test]
    fn a_pattern_has_the_system_of_its_name() {
        let mut example = example("");
        example.crate_folder = "patterns".to_owned();
        assert_eq!(example.system(), "kafka");
    }
}
