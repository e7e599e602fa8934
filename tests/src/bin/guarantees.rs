//! Breaks Kafka, RabbitMQ and an emulator of SQS at the worst moment, and counts.

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use tests::guarantees::{self, Experiment, Findings, Lab, recording, worker::Work};

/// Breaks Kafka, RabbitMQ and an emulator of SQS at the worst moment, and counts.
///
/// It starts brokers of its own, kills and pauses them, and prints for each experiment how many
/// messages were sent, confirmed, received, lost, repeated and reordered, and what follows. The
/// numbers may vary from run to run, what follows may not: a run that concludes otherwise ends with
/// exit code 1.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The experiments to run; all of them if none is named.
    names: Vec<String>,
    /// Tell which experiments there are, and run none.
    #[arg(long)]
    list: bool,
    /// Run each experiment twice and write down what was counted, in tests/guarantees.
    #[arg(long)]
    record: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Be a client that is killed; the experiments start it
    #[command(hide = true)]
    Work {
        #[command(subcommand)]
        work: Work,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guarantees: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every run concluded what it must.
fn run(arguments: &Arguments) -> Result<bool> {
    if let Some(Part::Work { work }) = &arguments.part {
        return work.run().map(|()| true);
    }
    for name in &arguments.names {
        ensure!(
            guarantees::find(name).is_some(),
            "there is no experiment {name}; --list tells which there are"
        );
    }
    let is_named = |e: &&&Experiment| {
        arguments.names.is_empty() || arguments.names.iter().any(|name| name == e.name)
    };
    let experiments: Vec<_> = guarantees::ALL.iter().filter(is_named).collect();
    if arguments.list {
        experiments
            .iter()
            .for_each(|e| println!("{}\n    {}", e.name, e.does));
        return Ok(true);
    }
    let mut lab = Lab::new(std::env::current_exe()?)?;
    let mut runs: Vec<Runs> = experiments.iter().map(|_| Runs::default()).collect();
    let mut failed = Vec::new();
    for pass in 0..if arguments.record { 2 } else { 1 } {
        // Each pass has brokers of its own: nothing is left of the one before.
        lab.end_cluster()?;
        for (index, experiment) in experiments.iter().enumerate() {
            let number = pass * experiments.len() + index + 1;
            eprintln!("[{number}] {}: {}", experiment.name, experiment.does);
            if let Err(error) = perform(&mut lab, experiment, &mut runs[index]) {
                failed.push(format!("{}: {error:#}", experiment.name));
                // Whatever state it is in, the next experiment does not inherit it.
                lab.end_cluster()?;
            }
        }
    }
    failed
        .iter()
        .for_each(|failure| eprintln!("guarantees: {failure}"));
    if arguments.record {
        let root = tests::root();
        let is_whole = |runs: &Runs| runs.findings.len() == 2;
        let recorded = experiments.iter().zip(&runs);
        for (experiment, runs) in recorded.filter(|(_, runs)| is_whole(runs)) {
            recording::write(&root, experiment, &runs.version, &runs.findings)
                .context("a record was not written")?;
        }
    }
    Ok(failed.is_empty())
}

/// What the runs of one experiment found.
#[derive(Default)]
struct Runs {
    findings: Vec<Findings>,
    version: String,
}

fn perform(lab: &mut Lab, experiment: &Experiment, runs: &mut Runs) -> Result<()> {
    let start = Instant::now();
    let findings = (experiment.run)(lab)?;
    let took = start.elapsed().as_secs_f64();
    println!("{} ({took:.0} s)\n{}", experiment.name, findings.print());
    findings.check()?;
    runs.findings.push(findings);
    runs.version = lab.version().to_owned();
    Ok(())
}
