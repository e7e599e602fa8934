//! A quorum queue that is younger than a second forgets what it has confirmed when its nodes die.
//!
//! Run: `cargo run --bin guarantees rabbitmq_young_queue`

use std::time::Duration;

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_young_queue",
    title: "RabbitMQ: node of a new quorum queue killed",
    does: "A single node is killed as soon as a new quorum queue has confirmed 1,000 messages, or when the queue is 5 s old, and started again.",
    on: On::OneRabbitMq,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let young = killed(lab, "young", Duration::ZERO)?;
    let old = killed(lab, "old", Duration::from_secs(5))?;
    let mut findings = Findings::default();
    findings.case("killed at once", &young);
    findings.case("killed when the queue is 5 s old", &old);
    findings.conclude(
        "a new quorum queue: confirmed messages are lost",
        young.lost > 0,
    );
    findings.conclude(
        "a quorum queue that is 5 s old: no confirmed message is lost",
        old.lost == 0,
    );
    Ok(findings)
}

fn killed(lab: &mut Lab, name: &str, age: Duration) -> Result<Counts> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::OneRabbitMq)?;
    let url = cluster.endpoint(1)?;
    let queue = format!("young-queue.{name}");
    // ANCHOR: fault
    wait(&runtime, "a queue", LIMIT, declare(&url, &queue, "quorum"))?;
    std::thread::sleep(age);
    let mut publisher = Publisher::new(vec![url.clone()], &queue, "quorum");
    (publisher.count, publisher.per_second) = (1_000, 0);
    wait(&runtime, "confirms", LIMIT, publisher.clone().publish())?;
    cluster.kill(1)?;
    cluster.restart(&[1])?;
    let mut counts = wait(&runtime, "reading", LIMIT * 2, publisher.counts(&url))?;
    // ANCHOR_END: fault
    counts.stall = None; // the sending ends before the fault
    Ok(counts)
}
