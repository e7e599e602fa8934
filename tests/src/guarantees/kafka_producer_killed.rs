//! Idempotence ends with the process: a producer that dies and starts again repeats what it had sent
//! after its last noted position.
//!
//! Run: `cargo run --bin guarantees kafka_producer_killed`

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};

use super::{Experiment, Findings, Lab, On, kafka::Topic, tally, worker::Work};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_producer_killed",
    title: "Kafka: producer killed",
    does: "An idempotent producer notes its position after every 100 records, dies when 550 of 1,000 are confirmed, and starts again from its position.",
    on: On::OneKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let (runtime, worker) = (lab.runtime(), lab.worker.clone());
    let cluster = lab.cluster(On::OneKafka)?;
    let topic = Topic::create(cluster, &runtime, "producer-killed", &[1], &[])?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("position");
    let path = file.to_string_lossy();
    let arguments = ["produce", &topic.servers, &topic.name, &path, "1000"];
    let limit = Duration::from_secs(60);
    // ANCHOR: fault
    let mut victim = Work::start(&worker, &[&arguments[..], &["550"]].concat())?;
    ensure!(!victim.ended_well(limit)?, "the producer was to die");
    let mut again = Work::start(&worker, &[&arguments[..], &["0"]].concat())?;
    ensure!(
        again.ended_well(limit)?,
        "the producer failed when it was started again"
    );
    // ANCHOR_END: fault

    let all: BTreeSet<_> = (0..1_000).collect();
    let counts = tally::counts(1_000, &all, &topic.read(&all)?, None);
    let mut findings = Findings::default();
    findings.case("acks=all and idempotent, started again", &counts);
    findings.conclude("no confirmed record is lost", counts.lost == 0);
    findings.conclude(
        "records are repeated, although both producers are idempotent",
        counts.repeated > 0,
    );
    Ok(findings)
}
