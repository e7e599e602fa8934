//! A paused node looks alive: noticing takes seconds, and a publisher connected to it notices nothing.
//!
//! Run: `cargo run --bin guarantees rabbitmq_leader_paused`

use std::time::{Duration, Instant};

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare},
    tally::wait_for,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_leader_paused",
    title: "RabbitMQ: leader paused",
    does: "The node that leads two quorum queues is paused for 15 s; one publisher is connected to another node, one to the paused node.",
    on: On::ThreeRabbitMq,
    run,
};

const PAUSE: Duration = Duration::from_secs(15);

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let mut publishers = Vec::new();
    for (node, queue) in [(2, "leader-paused.elsewhere"), (1, "leader-paused.here")] {
        let first = cluster.endpoint(1)?;
        wait(&runtime, "a queue", LIMIT, declare(&first, queue, "quorum"))?;
        let mut publisher = Publisher::new(vec![cluster.endpoint(node)?], queue, "quorum");
        publisher.per_second = 1_000;
        publishers.push(publisher);
    }
    // A younger queue may lose what it confirmed: rabbitmq_young_queue.
    std::thread::sleep(Duration::from_secs(5));
    let start = |publisher: &Publisher| runtime.spawn(publisher.clone().publish());
    let publishing: Vec<_> = publishers.iter().map(start).collect();
    wait_for("1,000 confirmed messages of each", LIMIT, || {
        Ok(publishers.iter().all(|p| p.receipts.confirmed() >= 1_000))
    })?;
    publishers.iter().for_each(|p| p.receipts.restart_clock());
    // ANCHOR: fault
    let paused = Instant::now();
    cluster.pause(1)?;
    std::thread::sleep(PAUSE.saturating_sub(paused.elapsed()));
    cluster.resume(1)?;
    // ANCHOR_END: fault
    for publishing in publishing {
        wait(&runtime, "everything confirmed", LIMIT * 2, async {
            publishing.await?
        })?;
    }
    let mut counted: Vec<Counts> = Vec::new();
    for publisher in &publishers {
        let url = cluster.endpoint(2)?;
        counted.push(wait(
            &runtime,
            "reading",
            LIMIT * 2,
            publisher.counts(&url),
        )?);
    }
    let (elsewhere, here) = (&counted[0], &counted[1]);
    let mut findings = Findings::default();
    findings.case("publisher on another node", elsewhere);
    findings.case("publisher on the paused node", here);
    let lost = elsewhere.lost + here.lost;
    findings.conclude("no confirmed message is lost", lost == 0);
    let pause = PAUSE.as_secs_f64();
    findings.conclude(
        "publisher on another node: the stall ends before the pause does",
        elsewhere.stall.is_some_and(|stall| stall < pause),
    );
    findings.conclude(
        "publisher on the paused node: the stall lasts as long as the pause",
        here.stall.is_some_and(|stall| stall > pause - 1.0),
    );
    Ok(findings)
}
