//! A consumer that commits before it processes loses records when it dies; one that commits after,
//! processes some twice.
//!
//! Run: `cargo run --bin guarantees kafka_consumer_killed`

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
    tally,
    worker::{Work, numbers},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_consumer_killed",
    title: "Kafka: consumer killed",
    does: "A consumer that works in batches of 100 dies at record 550 of 1,000; another one of its group takes over.",
    on: On::OneKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let commit = killed(lab, "commit")?;
    let process = killed(lab, "process")?;
    let mut findings = Findings::default();
    findings.case("commits, then processes", &commit);
    findings.case("processes, then commits", &process);
    findings.conclude(
        "commits first: records are lost and none is repeated",
        commit.lost > 0 && commit.repeated == 0,
    );
    findings.conclude(
        "processes first: records are repeated and none is lost",
        process.lost == 0 && process.repeated > 0,
    );
    Ok(findings)
}

fn killed(lab: &mut Lab, first: &str) -> Result<Counts> {
    let (runtime, worker) = (lab.runtime(), lab.worker.clone());
    let cluster = lab.cluster(On::OneKafka)?;
    let name = format!("consumer-killed.{first}-first");
    let topic = Topic::create(cluster, &runtime, &name, &[1], &[])?;
    let sender = Sender::new(&topic, &[("acks", "all")])?;
    sender.send(1_000)?;
    sender.await_confirmed(1_000)?;

    let folder = tempfile::tempdir()?;
    let file = folder.path().join("processed");
    let path = file.to_string_lossy();
    let arguments = ["consume", &topic.servers, &topic.name, first, &path];
    let limit = Duration::from_secs(60);
    // ANCHOR: fault
    let mut victim = Work::start(&worker, &[&arguments[..], &["550"]].concat())?;
    ensure!(!victim.ended_well(limit)?, "the consumer was to die");
    let mut heir = Work::start(&worker, &[&arguments[..], &["0"]].concat())?;
    ensure!(heir.ended_well(limit)?, "the second consumer failed");
    // ANCHOR_END: fault
    let confirmed: BTreeSet<_> = sender.receipts().numbers();
    Ok(tally::counts(
        sender.sent(),
        &confirmed,
        &numbers(&file)?,
        None,
    ))
}
