//! A program whose broker is killed in the middle of its work and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sandbox::{Broker, machine::scaled};

use crate::{brokers::Brokers, compare::compare, examples, program, root};

/// A client waits up to 10 s between two attempts to connect, and programs have limits of their own.
const LIMIT: Duration = Duration::from_secs(120);

/// The broker crashes when the program has printed its first line. The program either ends as if
/// nothing had been, or says in one line what it could not do.
///
/// # Errors
/// It did neither.
pub async fn survives(broker: Broker, name: &str) -> Result<Option<i32>> {
    let root = root();
    let mut examples = examples(&root)?;
    examples.retain(|example| example.name == name);
    let example = examples
        .first()
        .with_context(|| format!("there is no {name}"))?;
    let executable = program::build(&root, &examples)?.remove(name);
    let executable = executable.context("it was not built")?;
    let mut brokers = Brokers::start_these(&[broker])?;
    let variables = brokers.variables().to_vec();
    let crash = || brokers.crash(broker);
    let run = program::run_through(&executable, &variables, scaled(LIMIT), crash).await?;

    let took = run.took.as_secs();
    let complained = run.complained.clone();
    eprintln!(
        "{name}: exit code {:?} after {took} s\n{complained}",
        run.code
    );
    if run.code == Some(0) {
        let recording = example.recording(&root).map_err(anyhow::Error::msg)?;
        compare(&recording.output, &run.printed, &recording.record.varies)?;
        return Ok(run.code);
    }
    ensure!(
        run.code == Some(1),
        "ended with {:?}:\n{complained}",
        run.code
    );
    ensure!(
        !complained.contains("panicked"),
        "it panicked:\n{complained}"
    );
    let told = complained.lines().any(|line| line.starts_with("Error: "));
    ensure!(told, "no line says what it could not do:\n{complained}");
    Ok(run.code)
}
