//! Whether each claim has a proof that holds.

use std::{collections::BTreeMap, fs, path::Path, sync::OnceLock};

use rayon::prelude::*;
use regex::Regex;
use serde::Deserialize;

use super::{Claim, Ledger, Run, Source};
use crate::{
    model::{
        program::{Kind, Programs},
        record::Varies,
    },
    text::{
        files,
        grammar::Grammar,
        problem::{Complaint, Problem, shown},
    },
};

/// What claims are held against.
struct Proofs<'a> {
    root: &'a Path,
    programs: &'a Programs,
    grammar: &'a Grammar,
    /// The Rust files of the workspace, read for the first claim that names a test.
    files: OnceLock<Vec<String>>,
}

impl Ledger {
    /// Claims without a proof, with one that does not hold, and ids that stand twice.
    pub fn problems(&self, root: &Path, programs: &Programs, grammar: &Grammar) -> Vec<Problem> {
        let proofs = Proofs {
            root,
            programs,
            grammar,
            files: OnceLock::new(),
        };
        let wrong = |claim: &Claim| {
            let messages = claim.check(&proofs).into_iter();
            messages.map(|m| claim.problem(m)).collect::<Vec<_>>()
        };
        let claims: Vec<&Claim> = self.claims().collect();
        let wrong: Vec<_> = claims.into_par_iter().map(wrong).collect();
        let mut problems = self.duplicates();
        problems.extend(wrong.into_iter().flatten());
        problems
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
    fn check(&self, proofs: &Proofs<'_>) -> Vec<String> {
        let id = &self.id;
        let mut wrong: Vec<Complaint> = Vec::new();
        if !is_id(id) {
            wrong.push("an id has small letters, digits and hyphens; rename it".into());
        }
        if self.claim.trim().is_empty() {
            wrong.push("`claim` is empty; write the sentence that is proven".into());
        }
        if self.runs.is_empty() && self.sources.is_empty() {
            wrong.push("has neither run nor source; add what proves it".into());
        }
        wrong.extend(self.runs.iter().filter_map(|run| run.check(proofs).err()));
        wrong.extend(
            self.sources
                .iter()
                .filter_map(|source| source.check().err()),
        );
        wrong.into_iter().map(|m| format!("`{id}`: {m}")).collect()
    }
}

fn is_id(id: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !id.is_empty() && id.chars().all(is_plain)
}

impl Source {
    fn check(&self) -> Result<(), Complaint> {
        if self.read.date.is_none() {
            return Err("`read` is no date; write it as 2026-11-23".into());
        }
        for (key, value) in [("title", &self.title), ("at", &self.at)] {
            if value.trim().is_empty() {
                return Err(format!("`{key}` of a source is empty; fill it in").into());
            }
        }
        Ok(())
    }
}

impl Run {
    fn check(&self, proofs: &Proofs<'_>) -> Result<(), Complaint> {
        let runs = [
            (&self.example, Some(Kind::Program)),
            (&self.transcript, Some(Kind::Transcript)),
            (&self.guarantee, Some(Kind::Guarantee)),
            (&self.test, None),
        ];
        let mut named = runs
            .into_iter()
            .filter_map(|(name, kind)| Some((name.as_deref()?, kind)));
        match (named.next(), named.next()) {
            (Some((name, Some(kind))), None) => self.check_output(proofs.programs, name, kind),
            (Some((name, None)), None) if proofs.has_test(name) => Ok(()),
            (Some((name, None)), None) => Err(format!(
                "no #[test] `{name}` in a crate of the workspace; correct the name"
            )
            .into()),
            _ => {
                Err("a run names one of example, transcript, guarantee and test; correct it".into())
            }
        }
    }

    fn check_output(&self, programs: &Programs, name: &str, kind: Kind) -> Result<(), Complaint> {
        let (example, recording) = programs.get(name)?;
        if example.kind != kind {
            let folder = match example.kind {
                Kind::Guarantee => "",
                _ => "snippets/",
            };
            let path = example.path();
            return Err(format!("`{name}` is {folder}{path}; correct the key of the run").into());
        }
        let recording = recording?;
        let place = format!("the output of {name}");
        self.check_shows(&recording.output, &place, &recording.record.varies)
    }

    /// Whether a whole line is `shows`, and one that is the same in every run.
    fn check_shows(&self, output: &str, place: &str, varies: &[Varies]) -> Result<(), Complaint> {
        let shows = self.shows.as_deref().unwrap_or_default().trim();
        if shows.is_empty() {
            return Err(format!("no `shows`; add the line of {place} that proves it").into());
        }
        let lines = output.lines().enumerate();
        let mut numbers =
            lines.filter_map(|(index, line)| (line.trim() == shows).then_some(index + 1));
        let first = numbers.next().ok_or_else(|| {
            format!("`{shows}` is no whole line of {place}; correct `shows` or record again")
        })?;
        let differs = |line: &usize| varies.iter().any(|varies| varies.line == *line);
        match differs(&first) && numbers.all(|line| differs(&line)) {
            true => Err(format!(
                "line {first} of {place} differs from run to run (`varies`); show another line"
            )
            .into()),
            false => Ok(()),
        }
    }
}

#[derive(Deserialize)]
struct Manifest {
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Workspace {
    #[serde(default)]
    members: Vec<String>,
}

impl Proofs<'_> {
    /// Whether some crate of the workspace has a test function of this name.
    fn has_test(&self, name: &str) -> bool {
        let test = r"#\[(?:tokio::)?test(?:\([^)]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:async\s+)?fn\s+";
        let Ok(test) = Regex::new(&format!(r"{test}{}\s*\(", regex::escape(name))) else {
            return false;
        };
        let files = self.files.get_or_init(|| rust_files(self.root));
        // Most files are told apart by less than a parser.
        let mut files = files
            .iter()
            .filter(|text| text.contains(name) && test.is_match(text));
        files.any(|text| test.is_match(&self.grammar.rust_code_only(text)))
    }
}

/// The Rust files of the workspace's crates.
fn rust_files(root: &Path) -> Vec<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap_or_default();
    let members = toml::from_str(&manifest).map_or(Vec::new(), |m: Manifest| m.workspace.members);
    let files = members
        .iter()
        .flat_map(|member| files::below(&root.join(member)));
    // A fixture is data of a test; nothing runs what is in it.
    let is_data = |file: &Path| file.iter().any(|part| part == "fixture");
    let rust = files
        .filter(|file| file.extension().is_some_and(|e| e == "rs") && !is_data(shown(root, file)));
    rust.filter_map(|file| fs::read_to_string(file).ok())
        .collect()
}
