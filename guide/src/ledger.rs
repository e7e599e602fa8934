//! The ledger of evidence: `book/evidence/PART.toml`, one table for each claim.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use toml::value::{Date, Datetime};

use crate::{
    errors::{Problem, Problems, line_at, shown},
    examples::{self, Example, Record},
    markup,
};

/// Every claim of the book.
#[derive(Debug, Default)]
pub struct Ledger {
    parts: Vec<Part>,
}

/// The claims of one file.
#[derive(Debug)]
pub struct Part {
    /// The file's name without `.toml`: `kafka`.
    pub name: String,
    /// The claims in the order of the file.
    pub claims: Vec<Claim>,
}

/// A statement of fact with its proof.
#[derive(Debug)]
pub struct Claim {
    /// The name that pages use; permanent.
    pub id: String,
    /// The file it stands in, relative to the root.
    pub file: PathBuf,
    /// The line of its table.
    pub line: usize,
    /// The statement, a sentence.
    pub claim: String,
    /// The runs that show it.
    pub runs: Vec<Run>,
    /// The sources it was read in.
    pub sources: Vec<Source>,
}

/// What a claim rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program printed it.
    Run,
    /// A text says it.
    Source,
    /// Both.
    Both,
}

/// A run: an example, a command-line session or a test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The name of a program whose recorded output holds `shows`.
    pub example: Option<String>,
    /// The name of a command-line session whose recorded output holds `shows`.
    pub transcript: Option<String>,
    /// The name of a test function.
    pub test: Option<String>,
    /// The line to look at, or a part of it.
    pub shows: Option<String>,
}

/// A text that was read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is called.
    pub title: String,
    /// Where it is: a repository, a publisher or an address.
    pub at: String,
    /// The version that was read, for texts that have one.
    pub version: Option<String>,
    /// The day it was read.
    pub read: Datetime,
    /// Its address, when `at` is none.
    pub url: Option<String>,
}

impl Ledger {
    /// Reads every file of `book/evidence`.
    ///
    /// # Errors
    /// The first mistake of each file that cannot be read.
    pub fn load(root: &Path, book: &Path) -> Result<Self, Problems> {
        let mut ledger = Self::default();
        let mut problems = Vec::new();
        for file in toml_files(&book.join("evidence")) {
            let relative = shown(root, &file);
            match read_part(relative, &file) {
                Ok(part) => ledger.parts.push(part),
                Err(problem) => problems.push(problem),
            }
        }
        Problems::check(problems)?;
        Ok(ledger)
    }

    /// Claims without a proof, with one that does not hold, and ids that stand twice.
    pub fn problems(&self, root: &Path) -> Vec<Problem> {
        let wrong = |claim: &Claim| {
            let messages = claim.check(root).into_iter();
            messages.map(|m| claim.problem(m)).collect::<Vec<_>>()
        };
        let mut problems = self.duplicates();
        problems.extend(self.claims().flat_map(wrong));
        problems
    }

    /// The parts, by name.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// All claims, part by part.
    pub fn claims(&self) -> impl Iterator<Item = &Claim> {
        self.parts.iter().flat_map(|part| &part.claims)
    }

    /// The claim with this id.
    pub fn get(&self, id: &str) -> Option<&Claim> {
        self.claims().find(|claim| claim.id == id)
    }

    fn duplicates(&self) -> Vec<Problem> {
        let mut first: BTreeMap<&str, &Claim> = BTreeMap::new();
        let mut problems = Vec::new();
        for claim in self.claims() {
            if let Some(other) = first.insert(&claim.id, claim) {
                let place = format!("{}:{}", other.file.display(), other.line);
                let id = &claim.id;
                problems.push(claim.problem(format!("`{id}` is also in {place}; rename one")));
            }
        }
        problems
    }
}

impl Claim {
    /// What it rests on.
    pub fn kind(&self) -> Kind {
        match (self.runs.is_empty(), self.sources.is_empty()) {
            (false, true) => Kind::Run,
            (false, false) => Kind::Both,
            _ => Kind::Source,
        }
    }

    /// Its runs and sources in one line of plain text.
    pub fn proof(&self) -> String {
        let runs = self.runs.iter().map(Run::to_text);
        let sources = self.sources.iter().map(Source::to_text);
        runs.chain(sources).collect::<Vec<_>>().join("; ")
    }

    /// The records of the examples that it rests on.
    pub fn records(&self, root: &Path) -> Vec<Record> {
        let examples = self.runs.iter().filter_map(|run| run.example.as_deref());
        let found = examples.filter_map(|name| Example::find(root, name).ok());
        found
            .filter_map(|e| Some(e.recording(root).ok()?.record))
            .collect()
    }

    fn problem(&self, message: String) -> Problem {
        Problem::new(&self.file, self.line, message)
    }

    fn check(&self, root: &Path) -> Vec<String> {
        let id = &self.id;
        if self.runs.is_empty() && self.sources.is_empty() {
            return vec![format!(
                "`{id}` has neither run nor source; add what proves it"
            )];
        }
        let runs = self.runs.iter().filter_map(|run| run.check(root).err());
        let undated = self
            .sources
            .iter()
            .filter(|source| source.read.date.is_none());
        let undated = undated.map(|_| "`read` is no date; write it as 2026-11-23".to_owned());
        runs.chain(undated)
            .map(|m| format!("`{id}`: {m}"))
            .collect()
    }
}

impl Kind {
    /// The class of its mark.
    pub fn class(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Source => "source",
            Self::Both => "both",
        }
    }

    /// The word of its mark.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Source => "source",
            Self::Both => "run + source",
        }
    }

    /// How its mark is read out.
    pub fn spoken(self) -> &'static str {
        match self {
            Self::Run => "Proven by a run",
            Self::Source => "From a source",
            Self::Both => "Proven by a run + source",
        }
    }

    /// How it opens an entry of a list of sources.
    pub fn label(self) -> &'static str {
        match self {
            Self::Run => "Run",
            Self::Source => "Source",
            Self::Both => "Run and source",
        }
    }

    /// Whether a run belongs to it.
    pub fn has_run(self) -> bool {
        self != Self::Source
    }

    /// Whether a source belongs to it.
    pub fn has_source(self) -> bool {
        self != Self::Run
    }
}

impl Run {
    /// The program, session or test.
    pub fn name(&self) -> &str {
        let names = [&self.example, &self.transcript, &self.test];
        names
            .into_iter()
            .flatten()
            .next()
            .map_or("", String::as_str)
    }

    fn to_text(&self) -> String {
        let shows = self.shows.as_ref().map(|shows| format!(": {shows}"));
        format!("{}{}", self.name(), shows.unwrap_or_default())
    }

    fn check(&self, root: &Path) -> Result<(), String> {
        match (&self.example, &self.transcript, &self.test) {
            (Some(name), None, None) => {
                let example = Example::find(root, name)?;
                let recording = example.recording(root)?;
                self.check_shows(&recording.output, &format!("the output of {name}"))
            }
            (None, Some(name), None) => {
                let output = examples::transcript_output(root, name)?;
                self.check_shows(&output, &format!("the transcript {name}"))
            }
            (None, None, Some(name)) if test_exists(root, name) => Ok(()),
            (None, None, Some(name)) => Err(format!(
                "no test `{name}` in tests, sandbox or guide; correct the name"
            )),
            _ => Err("a run names one of example, transcript and test; correct it".to_owned()),
        }
    }

    fn check_shows(&self, output: &str, place: &str) -> Result<(), String> {
        let shows = self.shows.as_deref().unwrap_or_default().trim();
        if shows.is_empty() {
            return Err(format!(
                "no `shows`; add the line of {place} that proves it"
            ));
        }
        if output.lines().any(|line| line.contains(shows)) {
            return Ok(());
        }
        Err(format!(
            "`{shows}` is no line of {place}; correct `shows` or record again"
        ))
    }
}

impl Source {
    /// The address to link to, when one is known: `url`, or an `at` that is one.
    pub fn address(&self) -> Option<String> {
        if let Some(url) = &self.url {
            return Some(url.clone());
        }
        if self.at.starts_with("https://") {
            return Some(self.at.clone());
        }
        is_address(&self.at).then(|| format!("https://{}", self.at))
    }

    /// The day it was read, as pages write it.
    pub fn day(&self) -> String {
        self.read.date.map(markup::date).unwrap_or_default()
    }

    /// Title and version: `Design, consumer position (4.4)`.
    pub fn name(&self) -> String {
        match &self.version {
            Some(version) => format!("{} ({version})", self.title),
            None => self.title.clone(),
        }
    }

    fn to_text(&self) -> String {
        format!("{}, read {}", self.name(), self.day())
    }
}

/// Whether a text is a host with a path: `docs.aws.amazon.com/sns`, but not `apache/kafka` and not
/// `crate rdkafka 0.39.0`.
fn is_address(text: &str) -> bool {
    let host = text.split_once('/').map_or("", |(host, _)| host);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let domain = host.rsplit('.').next().unwrap_or_default();
    let is_domain = domain.len() >= 2 && domain.chars().all(|c| c.is_ascii_lowercase());
    host.contains('.') && host.chars().all(is_name) && is_domain && !text.contains(' ')
}

/// The newest day of some records.
pub fn last_day<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Date> {
    let days = records.into_iter().filter_map(|record| record.day().ok());
    days.max_by_key(|day| (day.year, day.month, day.day))
}

fn toml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path());
    let mut files: Vec<_> = files
        .filter(|f| f.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn read_part(relative: &Path, file: &Path) -> Result<Part, Problem> {
    let text = fs::read_to_string(file)
        .map_err(|e| Problem::new(relative, 1, format!("cannot read it: {e}")))?;
    let tables: BTreeMap<String, toml::Table> = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(1, |span| line_at(&text, span.start));
        Problem::new(relative, line, format!("{}; correct it", e.message()))
    })?;
    let mut claims = Vec::new();
    for (id, table) in tables {
        let line = line_of_table(&text, &id);
        claims.push(claim(relative, line, id, table)?);
    }
    claims.sort_by_key(|claim| claim.line);
    let name = file.file_stem().unwrap_or_default();
    Ok(Part {
        name: name.to_string_lossy().into_owned(),
        claims,
    })
}

fn claim(file: &Path, line: usize, id: String, mut table: toml::Table) -> Result<Claim, Problem> {
    let wrong = |message: &str| Problem::new(file, line, format!("`{id}`: {message}; correct it"));
    let claim = table
        .remove("claim")
        .as_ref()
        .and_then(toml::Value::as_str)
        .map(str::to_owned);
    let claim = claim.ok_or_else(|| wrong("no `claim`, the sentence that is proven"))?;
    let runs = one_or_many(table.remove("run")).map_err(|e| wrong(e.message()))?;
    let sources = one_or_many(table.remove("source")).map_err(|e| wrong(e.message()))?;
    if let Some(key) = table.keys().next() {
        return Err(wrong(&format!(
            "unknown key `{key}`; known: claim, run, source"
        )));
    }
    Ok(Claim {
        id,
        file: file.to_owned(),
        line,
        claim,
        runs,
        sources,
    })
}

fn line_of_table(text: &str, id: &str) -> usize {
    let headers = [format!("[{id}]"), format!("[{id}."), format!("[[{id}.")];
    let is_header = |line: &str| headers.iter().any(|header| line.trim().starts_with(header));
    1 + text.lines().position(is_header).unwrap_or(0)
}

fn one_or_many<T>(value: Option<toml::Value>) -> Result<Vec<T>, toml::de::Error>
where
    T: for<'de> Deserialize<'de>,
{
    let values = match value {
        None => Vec::new(),
        Some(toml::Value::Array(values)) => values,
        Some(value) => vec![value],
    };
    values.into_iter().map(toml::Value::try_into).collect()
}

/// Whether some Rust file of the crates that hold tests has a function of this name.
fn test_exists(root: &Path, name: &str) -> bool {
    let mut open: Vec<PathBuf> = ["tests", "sandbox", "guide"].map(|f| root.join(f)).into();
    let function = format!("fn {name}(");
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs")
                && fs::read_to_string(&path).is_ok_and(|text| text.contains(&function))
            {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_are_addresses() {
        assert!(is_address("docs.localstack.cloud/aws/iam"));
        for text in [
            "apache/kafka",
            "rdkafka-sys-4.10.0/README.md",
            "a.example.org/x y",
            "A Publisher",
        ] {
            assert!(!is_address(text), "{text}");
        }
    }
}
