//! The node that a publisher is connected to is killed, and it leads the queue: the publisher connects
//! elsewhere and sends again what has no answer.
//!
//! Run: `cargo run --bin guarantees rabbitmq_own_node_killed`

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare},
    tally::wait_for,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_own_node_killed",
    title: "RabbitMQ: publisher’s own node killed",
    does: "The node that leads the queue and has the publisher's connection is killed; the publisher goes on by another node.",
    on: On::ThreeRabbitMq,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let (quorum, again) = killed(lab, "quorum")?;
    let (stream, stream_again) = killed(lab, "stream")?;
    let mut findings = Findings::default();
    findings.case("quorum queue", &quorum);
    findings.case("stream", &stream);
    let lost = quorum.lost + stream.lost;
    findings.conclude("no confirmed message is lost", lost == 0);
    findings.conclude(
        "messages without an answer are sent again",
        again > 0 && stream_again > 0,
    );
    findings.conclude(
        "no more are repeated than were sent again",
        quorum.repeated <= again && stream.repeated <= stream_again,
    );
    Ok(findings)
}

fn killed(lab: &mut Lab, kind: &'static str) -> Result<(Counts, usize)> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let queue = format!("own-node-killed.{kind}");
    let (first, second) = (cluster.endpoint(1)?, cluster.endpoint(2)?);
    wait(&runtime, "a queue", LIMIT, declare(&first, &queue, kind))?;
    // A younger queue may lose what it confirmed: rabbitmq_young_queue.
    std::thread::sleep(Duration::from_secs(5));
    // ANCHOR: fault
    let publisher = Publisher::new(vec![first, second.clone()], &queue, kind);
    let publishing = runtime.spawn(publisher.clone().publish());
    wait_for("5,000 confirmed messages", LIMIT, || {
        Ok(publisher.receipts.confirmed() >= 5_000)
    })?;
    publisher.receipts.restart_clock();
    cluster.kill(1)?;
    wait(&runtime, "everything confirmed", LIMIT, async {
        publishing.await?
    })?;
    let counts = wait(&runtime, "reading", LIMIT * 2, publisher.counts(&second))?;
    // ANCHOR_END: fault
    Ok((counts, publisher.again.load(Ordering::Relaxed)))
}
