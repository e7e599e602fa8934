//! Writing down what the runs of an experiment counted.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use guide::guarantees::{Case, Guarantee, file};

use super::{Experiment, Findings};
use crate::record::{locked_version, rust_version};

/// Writes the record of an experiment: the counts of all runs, and what the last one printed.
///
/// # Errors
/// A version cannot be found out, or a file cannot be written.
pub fn write(root: &Path, experiment: &Experiment, version: &str, runs: &[Findings]) -> Result<()> {
    let last = runs.last().context("nothing was run")?;
    let cases = last.cases.iter().enumerate();
    let cases = cases.map(|(index, (name, _))| Case {
        name: (*name).to_owned(),
        runs: runs.iter().map(|run| run.cases[index].1.clone()).collect(),
    });
    let client = experiment.on.client();
    let guarantee = Guarantee {
        recorded: jiff::ZonedDateTime::now().date().to_string().parse()?,
        broker: version.to_owned(),
        client: format!("{client} {}", locked_version(root, client)?),
        rust: rust_version()?,
        title: experiment.title.to_owned(),
        does: experiment.does.to_owned(),
        conclusions: last
            .conclusions
            .iter()
            .map(|(text, _)| text.clone())
            .collect(),
        cases: cases.collect(),
    };
    let record = toml::to_string(&guarantee)?;
    for (extension, text) in [("toml", record), ("txt", last.print())] {
        let file = root.join(file(experiment.name, extension));
        fs::create_dir_all(file.parent().unwrap_or(root))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
