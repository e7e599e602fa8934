//! Without a majority nothing is lost, and the error does not say what is wrong.
//!
//! Run: `cargo run --bin guarantees kafka_two_dead`

use anyhow::Result;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_two_dead",
    title: "Kafka: two of three dead",
    does: "Two of three nodes are killed, 100 records are sent in vain, the two come back, 100 more are sent.",
    on: On::QuickKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::QuickKafka)?;
    let two = [("min.insync.replicas", "2")];
    let topic = Topic::create(cluster, &runtime, "two-dead", &[1, 2, 3], &two)?;
    let settings = [
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("message.timeout.ms", "8000"),
    ];
    let sender = Sender::new(&topic, &settings)?;
    sender.send(1_000)?;
    sender.await_confirmed(1_000)?;
    // ANCHOR: fault
    cluster.kill(2)?;
    cluster.kill(3)?;
    sender.send(100)?;
    sender.settle()?;
    let errors = sender.receipts().errors();
    let in_sync = topic.seen_by(cluster, 1)?.in_sync.len();
    let readable = topic.read(&sender.receipts().numbers())?.len();
    cluster.restart(&[2, 3])?;
    let later = Sender::new(&topic, &settings)?;
    later.send(100)?;
    later.await_confirmed(100)?;
    // ANCHOR_END: fault
    let read = topic.read(&sender.receipts().numbers())?;
    let (first, last) = read.split_at(read.len().saturating_sub(100));
    let mut counts = sender.receipts().counts(sender.sent(), first);
    counts.stall = None; // the sending pauses by itself

    let mut findings = Findings::default();
    findings.case("acks=all and idempotent, message.timeout.ms=8000", &counts);
    findings.conclude("no confirmed record is lost", counts.lost == 0);
    findings.conclude(
        "what was confirmed before can be read meanwhile",
        readable == 1_000,
    );
    findings.conclude(
        "the error of each record that was given up is MessageTimedOut",
        errors.into_iter().eq(["MessageTimedOut"]),
    );
    findings.conclude(
        "the partition still counts three nodes as in sync",
        in_sync == 3,
    );
    findings.conclude(
        "records that the producer gave up are in the topic",
        counts.received == counts.sent,
    );
    findings.conclude(
        "when the two are back, a new producer's records are confirmed",
        last.iter().copied().eq(0..100),
    );
    Ok(findings)
}
