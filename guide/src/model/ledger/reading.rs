//! Reads `book/evidence/PART.toml`.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;

use super::{Claim, Ledger, Part};
use crate::{
    model::ledger::EXEMPTIONS,
    text::files,
    text::problem::{Problem, Problems, line_at, shown},
};

impl Ledger {
    /// Reads every file of `book/evidence`.
    ///
    /// # Errors
    /// The first mistake of each file that cannot be read.
    pub fn load(root: &Path, book: &Path) -> Result<Self, Problems> {
        let mut ledger = Self::default();
        let mut problems = Vec::new();
        let files = files::entries(&book.join("evidence")).into_iter();
        let is_part = |file: &Path| {
            file.extension().is_some_and(|e| e == "toml") && !file.ends_with(EXEMPTIONS)
        };
        for file in files.filter(|file| is_part(file)) {
            match read_part(shown(root, &file), &file) {
                Ok(part) => ledger.parts.push(part),
                Err(problem) => problems.push(problem),
            }
        }
        Problems::check(problems)?;
        Ok(ledger)
    }
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
    let counter = one_or_many(table.remove("counter")).map_err(|e| wrong(e.message()))?;
    let judged = one_or_many(table.remove("judged")).map_err(|e| wrong(e.message()))?;
    if let Some(key) = table.keys().next() {
        return Err(wrong(&format!(
            "unknown key `{key}`; known: claim, run, source, counter, judged"
        )));
    }
    Ok(Claim {
        id,
        file: file.to_owned(),
        line,
        claim,
        runs,
        sources,
        counter: counter.into_iter().next(),
        judged: judged.into_iter().next(),
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
