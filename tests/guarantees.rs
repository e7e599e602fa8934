//! The short experiments, on one broker each: what must follow from them follows in every run.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use sandbox::machine::scaled;
use tests::guarantees::{ALL, Lab, find};
use tokio::time::timeout;

/// Much longer than it takes on a usual machine that is busy.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs an experiment on brokers of its own.
async fn concludes_what_it_must(name: &'static str) -> Result<()> {
    let running = tokio::task::spawn_blocking(move || {
        let experiment = find(name).context("there is no such experiment")?;
        let mut lab = Lab::new(PathBuf::from(env!("CARGO_BIN_EXE_guarantees")))?;
        let findings = (experiment.run)(&mut lab)?;
        eprint!("{name}\n{}", findings.print());
        findings.check()
    });
    let limit = scaled(LIMIT);
    timeout(limit, running)
        .await
        .with_context(|| format!("not done within {limit:?}"))??
}

#[tokio::test]
async fn a_paused_broker_repeats_records_only_without_idempotence() -> Result<()> {
    concludes_what_it_must("kafka_broker_paused").await
}

#[tokio::test]
async fn a_killed_consumer_loses_or_repeats_by_when_it_commits() -> Result<()> {
    concludes_what_it_must("kafka_consumer_killed").await
}

/// Each experiment is recorded with what it concludes today, has its file, and is on a page.
#[test]
fn every_experiment_is_recorded_and_on_a_page() -> Result<()> {
    let root = tests::root();
    let folder = tempfile::tempdir()?;
    let built = guide::build::build_into(&root, folder.path())?;
    for experiment in ALL {
        let name = experiment.name;
        let found = guide::examples::Example::find(&root, name).map_err(anyhow::Error::msg)?;
        found.recording(&root).map_err(anyhow::Error::msg)?;
        let record = guide::guarantees::Guarantee::load(&root, name).map_err(anyhow::Error::msg)?;
        ensure!(
            record.does == experiment.does && record.title == experiment.title,
            "the record of {name} is about another experiment; record it again"
        );
        ensure!(
            built.programs.contains(name),
            "no page has {{{{#proof {name}}}}}"
        );
    }
    let records = std::fs::read_dir(root.join(guide::guarantees::RECORDS))?;
    for record in records {
        let file = record?.path();
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        ensure!(
            find(&name).is_some(),
            "{} belongs to no experiment; remove it",
            file.display()
        );
    }
    Ok(())
}

#[test]
fn an_unknown_experiment_is_told_in_one_line() -> Result<()> {
    let binary = env!("CARGO_BIN_EXE_guarantees");
    let output = std::process::Command::new(binary)
        .arg("kafka_leeder")
        .output()?;
    ensure!(output.status.code() == Some(1), "{}", output.status);
    let said = String::from_utf8(output.stderr)?;
    let expected =
        "guarantees: there is no experiment kafka_leeder; --list tells which there are\n";
    ensure!(said == expected, "{said}");
    Ok(())
}
