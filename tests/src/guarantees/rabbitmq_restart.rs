//! What a restart leaves of confirmed messages depends on the queue and on their delivery mode.
//!
//! Run: `cargo run --bin guarantees rabbitmq_restart`

use std::time::Duration;

use anyhow::Result;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_restart",
    title: "RabbitMQ: all nodes killed",
    does: "1,000 messages are confirmed by each of four queues, all nodes are killed and started again.",
    on: On::ThreeRabbitMq,
    run,
};

const CASES: [(&str, &str, u8); 4] = [
    ("classic queue, persistent messages", "classic", 2),
    ("classic queue, transient messages", "classic", 1),
    ("quorum queue, transient messages", "quorum", 1),
    ("stream, transient messages", "stream", 1),
];

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let url = cluster.endpoint(1)?;
    let mut publishers = Vec::new();
    for (_, kind, delivery_mode) in CASES {
        let queue = format!("restart.{kind}-{delivery_mode}");
        wait(&runtime, "a queue", LIMIT, declare(&url, &queue, kind))?;
        let mut publisher = Publisher::new(vec![url.clone()], &queue, kind);
        (publisher.count, publisher.per_second) = (1_000, 0);
        publisher.delivery_mode = delivery_mode;
        publishers.push(publisher);
    }
    // A younger queue may lose what it confirmed: rabbitmq_young_queue.
    std::thread::sleep(Duration::from_secs(5));
    for publisher in &publishers {
        wait(&runtime, "confirms", LIMIT, publisher.clone().publish())?;
    }
    // ANCHOR: fault
    (1..=3).try_for_each(|node| cluster.kill(node))?;
    cluster.restart(&[1, 2, 3])?;
    // ANCHOR_END: fault
    let mut findings = Findings::default();
    for ((name, _, _), publisher) in CASES.iter().zip(&publishers) {
        let mut counts = wait(&runtime, "reading", LIMIT * 2, publisher.counts(&url))?;
        counts.stall = None; // the sending ends before the fault
        findings.case(name, &counts);
        match *name {
            "classic queue, transient messages" => findings.conclude(
                format!("{name}: every confirmed message is lost"),
                counts.lost == 1_000,
            ),
            _ => findings.conclude(
                format!("{name}: no confirmed message is lost"),
                counts.lost == 0,
            ),
        }
    }
    Ok(findings)
}
