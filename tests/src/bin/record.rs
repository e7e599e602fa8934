//! Runs what readers run against real brokers and writes down what it prints.

use std::{collections::BTreeSet, path::Path, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use guide::examples::{Example, Kind};
use sandbox::{Broker, machine::scaled};
use tests::{
    brokers::Brokers,
    compare::compare,
    interactive,
    program::{self, Executable},
    record, traces,
};

/// Runs what readers run against real brokers and writes down what it prints.
///
/// Each program runs twice and must print the same both times, but for what the `varies` of its
/// record allows. The brokers are started and ended by this command.
#[derive(Parser)]
struct Arguments {
    /// The programs, sessions and tests to record; all of them if none is named. `traces` records what
    /// the brokers do with the cases of the interactive parts; names after it are those of traces.
    /// `printed` writes down what those parts show where no script runs.
    names: Vec<String>,
}

fn main() -> ExitCode {
    // A member of a group that can be killed is this program once more.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((first, rest)) = arguments.split_first()
        && first == traces::MEMBER
    {
        return exit(traces::member(rest));
    }
    let names = Arguments::parse().names;
    let recorded = match names.split_first() {
        Some((first, names)) if first == "traces" => traces::record(&tests::root(), names),
        Some((first, [])) if first == "printed" => printed(),
        _ => record_all(&names),
    };
    exit(recorded)
}

fn exit(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn printed() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(interactive::print(&tests::root()))
}

fn record_all(names: &[String]) -> Result<()> {
    let root = tests::root();
    let mut examples = tests::examples(&root)?;
    for name in names {
        let known = examples.iter().any(|example| &example.name == name);
        ensure!(
            known,
            "there is no program, session or test {name} in snippets/"
        );
    }
    if !names.is_empty() {
        examples.retain(|example| names.contains(&example.name));
    }
    let executables = program::build(&root, &examples)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let needed: BTreeSet<Broker> = examples.iter().flat_map(record::needs).collect();
    let mut brokers = Brokers::start_these(&Vec::from_iter(needed))?;
    if examples
        .iter()
        .any(|example| example.kind == Kind::Transcript)
    {
        brokers.share_tools()?;
    }
    for example in examples {
        let executable = &executables[&example.name];
        runtime
            .block_on(record_one(&root, &example, executable, &brokers))
            .with_context(|| format!("{} was not recorded", example.name))?;
        eprintln!("recorded {}", example.name);
    }
    Ok(())
}

async fn record_one(
    root: &Path,
    example: &Example,
    executable: &Executable,
    brokers: &Brokers,
) -> Result<()> {
    let limit = scaled(Duration::from_secs(120));
    let first = program::run(executable, brokers.variables(), limit)
        .await?
        .succeeded()?;
    let second = program::run(executable, brokers.variables(), limit)
        .await?
        .succeeded()?;
    let varies = example.varies(root).map_err(anyhow::Error::msg)?;
    compare(&first, &second, &varies).with_context(|| {
        let record = example.output_file("toml");
        format!(
            "two runs differ; make the program print the same, or put a line such as \
             varies = [{{ line = 2, pattern = \"id [0-9a-f]+\" }}] into {record}"
        )
    })?;
    record::write(root, example, &first, brokers)
}
