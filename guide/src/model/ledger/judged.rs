//! The second reading: each claim is held against its proof by somebody who sees only the two.
//!
//! The ledger keeps the day and a sum of all that was seen. When the claim, its counter, its program
//! or what that printed changes, the sum is another one, and the claim counts as not judged.

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use toml::value::Datetime;

use super::{Claim, Ledger, Run};
use crate::model::program::Programs;

/// When a claim was held against its proof, and what that was.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// The day.
    pub on: Datetime,
    /// The sum of the claim and its proof as they were that day, eight hexadecimal digits.
    pub sum: String,
}

/// A line for each claim that nobody has held against its proof as both are now, then one with the
/// counts: `PART: ID: why`.
pub fn lines(ledger: &Ledger, programs: &Programs) -> Vec<String> {
    let mut lines = Vec::new();
    let (mut claims, mut of_runs, mut countered) = (0, 0, 0);
    for part in ledger.parts() {
        for claim in &part.claims {
            claims += 1;
            of_runs += usize::from(claim.kind().has_run());
            countered += usize::from(claim.kind().has_run() && claim.counter.is_some());
            let why = match &claim.judged {
                None => "never judged",
                Some(judged) if judged.sum != claim.sum(programs) => "changed since it was judged",
                Some(_) => continue,
            };
            lines.push(format!("{}: {}: {why}", part.name, claim.id));
        }
    }
    let judged = claims - lines.len();
    lines.push(format!(
        "{judged} of {claims} claims are judged; {of_runs} rest on a run, {countered} of them say how \
         it could have come out otherwise"
    ));
    lines
}

/// Writes into the ledger that these claims were held against their proofs on a day.
///
/// # Errors
/// An id that no claim has; a file that can't be read or written.
pub fn mark(
    root: &Path,
    ledger: &Ledger,
    programs: &Programs,
    ids: &[String],
    on: &str,
) -> Result<()> {
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    for id in &ids {
        ensure!(
            ledger.get(id).is_some(),
            "no claim has the id `{id}`; correct it"
        );
    }
    for part in ledger.parts() {
        let mut to_mark = part
            .claims
            .iter()
            .filter(|claim| ids.contains(claim.id.as_str()))
            .peekable();
        let Some(file) = to_mark.peek().map(|claim| root.join(&claim.file)) else {
            continue;
        };
        let text = fs::read_to_string(&file);
        let mut text = text.with_context(|| format!("cannot read {}", file.display()))?;
        for claim in to_mark {
            let sum = claim.sum(programs);
            text = marked(
                &text,
                &claim.id,
                &format!("judged = {{ on = {on}, sum = \"{sum}\" }}"),
            )?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The text with a line at the top of the claim's table instead of the one that it had there.
fn marked(text: &str, id: &str, line: &str) -> Result<String> {
    let header = format!("[{id}]");
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(start) = lines.iter().position(|line| line.trim() == header) else {
        bail!("no table `{header}` on a line of its own; write it so");
    };
    let next = lines[start + 1..]
        .iter()
        .position(|line| line.starts_with('['));
    let end = next.map_or(lines.len(), |next| start + 1 + next);
    let is_old = |line: &&str| line.starts_with("judged = ");
    if let Some(old) = lines[start..end].iter().position(is_old) {
        lines.remove(start + old);
    }
    lines.insert(start + 1, line);
    Ok(lines.join("\n") + "\n")
}

impl Claim {
    /// The sum of what somebody sees who judges it: the statement, how it could be false, each run
    /// with its program and what that printed, each source. Not the day on which a source was read.
    fn sum(&self, programs: &Programs) -> String {
        let mut seen = vec![self.claim.clone(), self.counter.clone().unwrap_or_default()];
        for run in &self.runs {
            seen.extend(seen_of(run, programs));
        }
        for source in &self.sources {
            let version = source.version.clone().unwrap_or_default();
            let url = source.url.clone().unwrap_or_default();
            seen.extend([source.title.clone(), source.at.clone(), version, url]);
        }
        format!("{:08x}", crc32fast::hash(seen.join("\0").as_bytes()))
    }
}

/// A run's name and line, the text of its program and what that printed.
fn seen_of(run: &Run, programs: &Programs) -> Vec<String> {
    let mut seen = vec![run.name().to_owned(), run.shows.clone().unwrap_or_default()];
    if let Some((example, recording)) = run.recorded().and_then(|name| programs.get(name).ok()) {
        seen.push(example.program());
        seen.extend(recording.ok().map(|recording| recording.output.clone()));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = "\
[one]
judged = { on = 2026-01-01, sum = \"00000000\" }
claim = \"One.\"

[two]
claim = \"Two.\"
";

    #[test]
    fn a_mark_stands_once_at_the_top_of_its_table() -> Result<()> {
        let line = "judged = { on = 2026-12-01, sum = \"0a1b2c3d\" }";
        let one = marked(LEDGER, "one", line)?;
        assert!(one.starts_with(&format!("[one]\n{line}\nclaim")), "{one}");
        let two = marked(LEDGER, "two", line)?;
        assert!(
            two.ends_with(&format!("[two]\n{line}\nclaim = \"Two.\"\n")),
            "{two}"
        );
        assert!(two.contains("2026-01-01"), "{two}");
        assert!(marked(LEDGER, "three", line).is_err());
        Ok(())
    }
}
