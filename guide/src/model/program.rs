//! What readers run, what each printed and when: programs in `snippets/SYSTEM/examples/NAME.rs` and
//! tests in `tests/NAME.rs` with `output/NAME.txt` and `output/NAME.toml`; command-line sessions in
//! `transcripts/NAME.sh` with the same two files beside them; fault experiments, see
//! [`experiment`](crate::model::experiment).

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use crate::{
    model::experiment::{self, Guarantee},
    model::record::{Draft, Record, Recording, Varies, check},
    text::files,
    text::problem::{Complaint, line_at, shown},
};

/// A messaging system that the guide compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum System {
    /// Apache Kafka.
    Kafka,
    /// RabbitMQ.
    RabbitMq,
    /// Amazon Simple Queue Service.
    Sqs,
    /// Amazon Simple Notification Service.
    Sns,
}

/// What an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `examples/NAME.rs`, run by `cargo run --example NAME`.
    Program,
    /// `transcripts/NAME.sh`, a session with a system's own command-line tools.
    Transcript,
    /// `tests/NAME.rs`, run by `cargo test --test NAME`.
    Test,
    /// A fault experiment of the project's own tests, run by `cargo run --bin guarantees NAME`.
    Guarantee,
}

/// A program, session or test, found by its name.
#[derive(Debug, Clone)]
pub struct Example {
    /// The file's name without its extension.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The folder of its crate in `snippets/`: `kafka`, `patterns`.
    pub crate_folder: String,
    system: System,
    /// The file's text, with its anchor comments.
    source: String,
}

impl System {
    /// Every system, in the order of the book.
    pub const ALL: [Self; 4] = [Self::Kafka, Self::RabbitMq, Self::Sqs, Self::Sns];

    /// Its name in folders, program names and style sheets: `kafka`, `rabbitmq`, `sqs`, `sns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::Sqs => "sqs",
            Self::Sns => "sns",
        }
    }

    /// What it is called: `Kafka`, `RabbitMQ`, `SQS`, `SNS`.
    pub fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Kafka",
            Self::RabbitMq => "RabbitMQ",
            Self::Sqs => "SQS",
            Self::Sns => "SNS",
        }
    }

    /// The system with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// The system of a program: its crate, or for patterns the prefix of its name.
    fn of(crate_folder: &str, program: &str) -> Option<Self> {
        let prefix = program.split('_').next().unwrap_or_default();
        Self::from_name(crate_folder).or_else(|| Self::from_name(prefix))
    }
}

impl Kind {
    /// Every kind that is in `snippets/`.
    pub const ALL: [Self; 3] = [Self::Program, Self::Transcript, Self::Test];

    /// The folder of its files in a crate of `snippets/`, or from the root.
    fn folder(self) -> &'static str {
        match self {
            Self::Program => "examples",
            Self::Transcript => "transcripts",
            Self::Test => "tests",
            Self::Guarantee => experiment::SOURCES,
        }
    }

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Program | Self::Test | Self::Guarantee => "rs",
            Self::Transcript => "sh",
        }
    }

    /// The folder in a crate of `snippets/`, or from the root, of what it printed.
    fn output_folder(self) -> &'static str {
        match self {
            Self::Program | Self::Test => "output",
            Self::Transcript => "transcripts",
            Self::Guarantee => experiment::RECORDS,
        }
    }

    /// Where a file of this kind and name is in its crate.
    fn file(self, name: &str) -> String {
        format!("{}/{name}.{}", self.folder(), self.extension())
    }
}

/// Where what readers run lies, by its name: each folder is listed once.
struct Places {
    by_name: BTreeMap<String, Vec<(PathBuf, Kind)>>,
    /// Programs that are folders, which cannot be shown.
    folders: Vec<PathBuf>,
}

impl Places {
    fn list(root: &Path) -> Self {
        let mut places = Self {
            by_name: BTreeMap::new(),
            folders: Vec::new(),
        };
        for folder in files::entries(&root.join("snippets")) {
            for kind in Kind::ALL {
                places.add(&folder, kind);
            }
        }
        places.add(root, Kind::Guarantee);
        places
    }

    fn add(&mut self, folder: &Path, kind: Kind) {
        for file in files::entries(&folder.join(kind.folder())) {
            if file.join("main.rs").is_file() && kind != Kind::Guarantee {
                self.folders.push(file);
            } else if file.extension().is_some_and(|e| e == kind.extension()) {
                let name = file.file_stem().unwrap_or_default().to_string_lossy();
                let places = self.by_name.entry(name.into_owned()).or_default();
                places.push((folder.to_owned(), kind));
            }
        }
    }

    fn find(&self, root: &Path, name: &str) -> Result<Example, Complaint> {
        match self.by_name.get(name).map_or(&[][..], Vec::as_slice) {
            [(folder, kind)] => Example::read(folder, *kind, name),
            [] => Err(missing(name)),
            several => {
                let files = several
                    .iter()
                    .map(|(folder, kind)| folder.join(kind.file(name)));
                let files = files.map(|file| shown(root, &file).display().to_string());
                let files: Vec<_> = files.collect();
                Err(format!("{} have one name; rename one", files.join(" and ")).into())
            }
        }
    }
}

fn missing(name: &str) -> Complaint {
    let files = Kind::ALL.map(|kind| kind.file(name)).join(", ");
    format!("none of {files} in snippets/*, and no guarantee; write it or correct the name").into()
}

/// A program and what it printed, or what is wrong with either.
type Found = Result<(Example, Result<Recording, Complaint>), Complaint>;

/// What readers run and what each printed, read once, by name.
pub struct Programs(BTreeMap<String, Found>);

impl Programs {
    /// Reads the programs of the project at `root` with what they printed.
    pub fn load(root: &Path) -> Self {
        let places = Places::list(root);
        let names = places.by_name.par_iter().map(|(name, _)| {
            let found = places.find(root, name).map(|example| {
                let recording = example.recording(root);
                (example, recording)
            });
            (name.clone(), found)
        });
        Self(names.collect())
    }

    /// What runs under a name, and what it printed.
    ///
    /// # Errors
    /// A message that says what is missing or wrong.
    pub fn get(&self, name: &str) -> Result<(&Example, Result<&Recording, Complaint>), Complaint> {
        match self.0.get(name) {
            Some(Ok((example, recording))) => {
                Ok((example, recording.as_ref().map_err(Clone::clone)))
            }
            Some(Err(complaint)) => Err(complaint.clone()),
            None => Err(missing(name)),
        }
    }

    /// The record of a run that is as it should be.
    pub fn record(&self, name: &str) -> Option<&Record> {
        let (_, recording) = self.get(name).ok()?;
        Some(&recording.ok()?.record)
    }
}

impl Example {
    /// Finds a program, session or test in the crates of `snippets/` of the project at `root`.
    ///
    /// # Errors
    /// A message that says what is missing, when none or more than one has the name.
    pub fn find(root: &Path, name: &str) -> Result<Self, Complaint> {
        Places::list(root).find(root, name)
    }

    /// Every program, session and test in the crates of `snippets/` of the project at `root`,
    /// sorted by name.
    ///
    /// # Errors
    /// A message that names what stands twice, belongs to no system or is a folder.
    pub fn all(root: &Path) -> Result<Vec<Self>, Complaint> {
        let places = Places::list(root);
        if let Some(file) = places.folders.first() {
            let file = shown(root, file).display();
            let message = format!("{file} is a folder with main.rs; write one file {file}.rs");
            return Err(message.into());
        }
        let is_in_snippets =
            |kinds: &[(PathBuf, Kind)]| kinds.iter().any(|(_, kind)| *kind != Kind::Guarantee);
        let names = places
            .by_name
            .iter()
            .filter(|(_, found)| is_in_snippets(found));
        names.map(|(name, _)| places.find(root, name)).collect()
    }

    fn read(folder: &Path, kind: Kind, name: &str) -> Result<Self, Complaint> {
        let crate_folder = match kind {
            Kind::Guarantee => "tests".into(),
            _ => folder.file_name().unwrap_or_default().to_string_lossy(),
        };
        let file = match kind {
            Kind::Guarantee => kind.file(name),
            _ => format!("snippets/{crate_folder}/{}", kind.file(name)),
        };
        let source = fs::read_to_string(folder.join(kind.file(name)))
            .map_err(|e| format!("cannot read {file}: {e}"))?;
        let system = System::of(&crate_folder, name).ok_or_else(|| {
            let prefixes = System::ALL.map(|system| format!("{}_", system.name()));
            format!(
                "{file} belongs to no system; begin its name with one of {}",
                prefixes.join(", ")
            )
        })?;
        Ok(Self {
            name: name.to_owned(),
            kind,
            crate_folder: crate_folder.into_owned(),
            system,
            source,
        })
    }

    /// The file relative to `snippets/`: `kafka/examples/kafka_groups.rs`. That of a guarantee is
    /// relative to the root.
    pub fn path(&self) -> String {
        match self.kind {
            Kind::Guarantee => self.kind.file(&self.name),
            _ => format!("{}/{}", self.crate_folder, self.kind.file(&self.name)),
        }
    }

    /// The file's name: `kafka_groups.rs`.
    pub fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.kind.extension())
    }

    /// The command that runs it, from the root of the project.
    pub fn run_line(&self) -> String {
        match self.kind {
            Kind::Program => format!("cargo run --example {}", self.name),
            Kind::Transcript => format!("bash snippets/{}", self.path()),
            Kind::Test => format!("cargo test --test {}", self.name),
            Kind::Guarantee => format!("cargo run --bin guarantees {}", self.name),
        }
    }

    /// The system it runs on.
    pub fn system(&self) -> System {
        self.system
    }

    /// The program as it is shown and copied: the file without its anchor comments.
    pub fn program(&self) -> String {
        lines_without_anchors(self.source.lines())
    }

    /// Which lines of [`program`](Self::program), from 0, stand between `// ANCHOR: anchor` and
    /// `// ANCHOR_END: anchor`.
    ///
    /// # Errors
    /// A message when the anchor does not open and close exactly once.
    pub fn excerpt(&self, anchor: &str) -> Result<Range<usize>, Complaint> {
        let (mut starts, mut ends) = (Vec::new(), Vec::new());
        let mut line_of_program = 0;
        for line in self.source.lines() {
            match (
                anchor_name(line, "ANCHOR:"),
                anchor_name(line, "ANCHOR_END:"),
            ) {
                (None, None) => line_of_program += 1,
                (start, end) => {
                    starts.extend(start.filter(|s| *s == anchor).map(|_| line_of_program));
                    ends.extend(end.filter(|e| *e == anchor).map(|_| line_of_program));
                }
            }
        }
        let path = self.path();
        match (&*starts, &*ends) {
            (&[start], &[end]) if start < end => Ok(start..end),
            (starts, ends) if starts.len() > 1 || ends.len() > 1 => Err(format!(
                "the anchor `{anchor}` stands more than once in snippets/{path}; rename one"
            )
            .into()),
            _ => Err(format!(
                "no `// ANCHOR: {anchor}` with its `// ANCHOR_END: {anchor}` in snippets/{path}; add \
                 the two comments or correct the name"
            )
            .into()),
        }
    }

    /// What the program printed, and the record of that run.
    ///
    /// # Errors
    /// A message that names the missing or wrong file and how to make it.
    pub fn recording(&self, root: &Path) -> Result<Recording, Complaint> {
        let read = |extension: &str| {
            let file = self.output_file(extension);
            fs::read_to_string(root.join(&file)).map_err(|_| {
                let name = &self.name;
                let record = match self.kind {
                    Kind::Guarantee => "guarantees -- --record",
                    _ => "record",
                };
                format!("no {file}; record a run: cargo run --bin {record} {name}")
            })
        };
        let output = read("txt")?;
        plain(&output).map_err(|message| format!("{}: {message}", self.output_file("txt")))?;
        if self.kind == Kind::Guarantee {
            let record = Guarantee::load(root, &self.name)?.record(&output);
            return Ok(Recording { output, record });
        }
        let file = self.output_file("toml");
        let wrong = |message: &str| format!("{file}: {message}; correct it");
        let record: Record = toml::from_str(&read("toml")?).map_err(|e| wrong(e.message()))?;
        record.day().map_err(|e| wrong(&e.to_string()))?;
        check(&record.varies).map_err(|e| wrong(&e.to_string()))?;
        Ok(Recording { output, record })
    }

    /// The lines of the output that differ from run to run; none when nothing was recorded yet.
    ///
    /// # Errors
    /// A message that names `output/NAME.toml` and what is wrong in it.
    pub fn varies(&self, root: &Path) -> Result<Vec<Varies>, Complaint> {
        let file = self.output_file("toml");
        let wrong = |message: &str| format!("{file}: {message}; correct it");
        let text = match fs::read_to_string(root.join(&file)) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(wrong(&format!("cannot read it: {e}")).into()),
        };
        let draft: Draft = toml::from_str(&text).map_err(|e| wrong(e.message()))?;
        check(&draft.varies).map_err(|e| wrong(&e.to_string()))?;
        Ok(draft.varies)
    }

    /// Where what it printed (`txt`) and the record of that (`toml`) are, from the root.
    pub fn output_file(&self, extension: &str) -> String {
        let folder = self.kind.output_folder();
        if self.kind == Kind::Guarantee {
            return experiment::file(&self.name, extension);
        }
        format!(
            "snippets/{}/{folder}/{}.{extension}",
            self.crate_folder, self.name
        )
    }
}

/// Whether some output can be shown: a browser has no terminal's colours.
fn plain(output: &str) -> Result<(), String> {
    let is_wrong = |c: char| c.is_control() && c != '\n' && c != '\t';
    match output.char_indices().find(|(_, c)| is_wrong(*c)) {
        Some((offset, c)) => Err(format!(
            "line {} holds the control character {c:?}; print plain text and record again",
            line_at(output, offset)
        )),
        None => Ok(()),
    }
}

fn anchor_name<'a>(line: &'a str, kind: &str) -> Option<&'a str> {
    let line = line.trim();
    let comment = line
        .strip_prefix("//")
        .or(line.strip_prefix('#'))?
        .trim_start();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn example(source: &str) -> Example {
        Example {
            name: "kafka_x".to_owned(),
            kind: Kind::Program,
            crate_folder: "kafka".to_owned(),
            system: System::Kafka,
            source: source.to_owned(),
        }
    }

    #[test]
    fn an_excerpt_is_lines_of_the_program_without_anchors() {
        let source = "fn main() {\n    // ANCHOR: a\n    one();\n\n    // ANCHOR: b\n      two();\n    \
                      // ANCHOR_END: b\n    // ANCHOR_END: a\n}\n";
        let example = example(source);
        assert_eq!(example.excerpt("a").unwrap(), 1..4);
        assert_eq!(
            example.program(),
            "fn main() {\n    one();\n\n      two();\n}\n"
        );
        assert!(
            example
                .excerpt("c")
                .unwrap_err()
                .to_string()
                .contains("ANCHOR: c")
        );
    }

    #[test]
    fn an_anchor_stands_once() {
        let source = "// ANCHOR: a\n// ANCHOR_END: a\n// ANCHOR: a\n// ANCHOR_END: a\n";
        let message = example(source).excerpt("a").unwrap_err();
        assert!(
            message
                .to_string()
                .starts_with("the anchor `a` stands more than once"),
            "{message}"
        );
    }

    #[test]
    fn a_pattern_has_the_system_of_its_name() {
        assert_eq!(System::of("patterns", "sns_order"), Some(System::Sns));
        assert_eq!(System::of("rabbitmq", "fanout"), Some(System::RabbitMq));
        assert_eq!(System::of("patterns", "order"), None);
        for system in System::ALL {
            assert_eq!(System::from_name(system.name()), Some(system));
        }
    }
}
