//! `acks=1` confirms what only the leader has. `acks=all` does not.
//!
//! Run: `cargo run --bin guarantees kafka_followers_stopped`

use std::{thread, time::Duration};

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_followers_stopped",
    title: "Kafka: followers stopped, leader killed",
    does: "Both followers are stopped, 1,010 records are sent, the leader is killed, the followers go on.",
    on: On::QuickKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let one = stopped(lab, "1")?;
    let all = stopped(lab, "all")?;
    let mut findings = Findings::default();
    findings.case("acks=1", &one);
    findings.case("acks=all", &all);
    findings.conclude("acks=1: confirmed records are lost", one.lost > 0);
    findings.conclude("acks=all: no confirmed record is lost", all.lost == 0);
    findings.conclude(
        "acks=all: records that the producer gave up are in the topic",
        all.received > all.confirmed,
    );
    Ok(findings)
}

fn stopped(lab: &mut Lab, acks: &str) -> Result<Counts> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::QuickKafka)?;
    let name = format!("followers-stopped.acks-{acks}");
    let two = [("min.insync.replicas", "2")];
    let topic = Topic::create(cluster, &runtime, &name, &[1, 2, 3], &two)?;
    let sender = Sender::new(&topic, &[("acks", acks), ("message.timeout.ms", "5000")])?;
    // ANCHOR: fault
    sender.send(1_000)?;
    sender.await_confirmed(1_000)?;
    topic.read(&sender.receipts().numbers())?; // what can be read is on all replicas
    cluster.pause(2)?;
    cluster.pause(3)?;
    // Each follower has asked for more already, and the answer waits in the kernel: these get through.
    sender.send(10)?;
    thread::sleep(Duration::from_secs(1));
    sender.send(1_000)?;
    if acks == "1" {
        sender.await_confirmed(2_010)?;
    } else {
        sender.settle()?;
    }
    cluster.kill(1)?;
    cluster.resume(2)?;
    cluster.resume(3)?;
    topic.await_leader_other_than(cluster, 1, 2)?;
    // ANCHOR_END: fault
    let read = topic.read(&sender.receipts().numbers())?;
    let mut counts = sender.receipts().counts(sender.sent(), &read);
    counts.stall = None; // the sending pauses by itself
    Ok(counts)
}
