//! The ledger of evidence: `book/evidence/PART.toml`, one table for each claim.

pub mod judged;
mod proofs;
mod reading;

use std::path::PathBuf;

use jiff::civil::Date;
use serde::Deserialize;
use toml::value::Datetime;

use crate::text::{markup, problem::Problem};

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
    /// How its runs would have come out if the statement were false.
    pub counter: Option<String>,
    /// When somebody held it against its proof, and what that was.
    pub judged: Option<judged::Judged>,
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

/// A run: an example, a command-line session, a guarantee or a test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The name of a program whose recorded output holds `shows`.
    pub example: Option<String>,
    /// The name of a command-line session whose recorded output holds `shows`.
    pub transcript: Option<String>,
    /// The name of a fault experiment of which `shows` is a conclusion.
    pub guarantee: Option<String>,
    /// The name of a test function.
    pub test: Option<String>,
    /// The whole line to look at, blanks around it aside.
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

/// The file of the ledger's folder that lists the sentences that may stand without a mark.
pub const EXEMPTIONS: &str = "exempt.toml";

/// A source that was read longer ago than this is one to read again.
pub const FRESH_DAYS: i32 = 180;

impl Ledger {
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

    /// Whether nothing shows it, which is a mistake.
    pub fn is_unproven(&self) -> bool {
        self.runs.is_empty() && self.sources.is_empty()
    }

    fn problem(&self, message: String) -> Problem {
        Problem::new(&self.file, self.line, message)
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
    /// The program, session or fault experiment whose output it is.
    pub fn recorded(&self) -> Option<&str> {
        let recorded = [&self.example, &self.transcript, &self.guarantee];
        recorded.into_iter().flatten().next().map(String::as_str)
    }

    /// The program, session or test.
    pub fn name(&self) -> &str {
        let names = [&self.example, &self.transcript, &self.guarantee, &self.test];
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

    /// How many days ago it was read.
    pub fn age(&self, today: Date) -> Option<i32> {
        let read = self.read.date?;
        let read = Date::new(
            i16::try_from(read.year).ok()?,
            i8::try_from(read.month).ok()?,
            i8::try_from(read.day).ok()?,
        );
        Some(today.since(read.ok()?).ok()?.get_days())
    }

    /// Whether it should be read again.
    pub fn is_stale(&self, today: Date) -> bool {
        self.age(today).is_some_and(|days| days > FRESH_DAYS)
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
