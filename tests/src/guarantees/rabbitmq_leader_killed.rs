//! The leader of a quorum queue or stream is killed: a publisher on another node waits half a second.
//!
//! Run: `cargo run --bin guarantees rabbitmq_leader_killed`

use std::time::Duration;

use anyhow::{Result, ensure};
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare, leader},
    tally::wait_for,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_leader_killed",
    title: "RabbitMQ: leader killed",
    does: "The leader is killed while a publisher on another node sends 5,000 messages a second, 500 of them outstanding.",
    on: On::ThreeRabbitMq,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let quorum = killed(lab, "quorum")?;
    let stream = killed(lab, "stream")?;
    let mut findings = Findings::default();
    findings.case("quorum queue", &quorum);
    findings.case("stream", &stream);
    for (kind, counts) in [("quorum queue", quorum), ("stream", stream)] {
        findings.conclude(
            format!("{kind}: no confirmed message is lost"),
            counts.lost == 0,
        );
        findings.conclude(
            format!("{kind}: no message is repeated or reordered"),
            counts.repeated + counts.reordered == 0,
        );
        findings.conclude(
            format!("{kind}: the stall is shorter than 4 s"),
            counts.stall.is_some_and(|stall| stall < 4.0),
        );
    }
    Ok(findings)
}

fn killed(lab: &mut Lab, kind: &'static str) -> Result<Counts> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let queue = format!("leader-killed.{kind}");
    let (first, second) = (cluster.endpoint(1)?, cluster.endpoint(2)?);
    wait(&runtime, "a queue", LIMIT, declare(&first, &queue, kind))?;
    // A younger queue may lose what it confirmed: rabbitmq_young_queue.
    std::thread::sleep(Duration::from_secs(5));
    ensure!(
        leader(cluster, 1, &queue)? == 1,
        "another node leads {queue}"
    );
    let publisher = Publisher::new(vec![second.clone()], &queue, kind);
    let publishing = runtime.spawn(publisher.clone().publish());
    wait_for("5,000 confirmed messages", LIMIT, || {
        Ok(publisher.receipts.confirmed() >= 5_000)
    })?;
    // ANCHOR: fault
    publisher.receipts.restart_clock();
    cluster.kill(1)?;
    wait(&runtime, "everything confirmed", LIMIT, async {
        publishing.await?
    })?;
    wait(&runtime, "reading", LIMIT * 2, publisher.counts(&second))
    // ANCHOR_END: fault
}
