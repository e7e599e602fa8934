//! A killed leader costs a producer that waits for all replicas time, and nothing else.
//!
//! Run: `cargo run --bin guarantees kafka_leader_killed`

use std::thread;

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_leader_killed",
    title: "Kafka: leader killed",
    does: "The leader is killed while a producer with acks=all and idempotence sends 10,000 records a second.",
    on: On::ThreeKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let usual = killed(lab, On::ThreeKafka)?;
    let quick = killed(lab, On::QuickKafka)?;
    let mut findings = Findings::default();
    findings.case("broker.session.timeout.ms=9000 (default)", &usual);
    findings.case("broker.session.timeout.ms=3000", &quick);
    let nothing_lost = usual.lost + quick.lost == 0;
    findings.conclude("no confirmed record is lost", nothing_lost);
    let nothing_twice = usual.repeated + quick.repeated == 0;
    findings.conclude("no record is repeated", nothing_twice);
    let in_order = usual.reordered + quick.reordered == 0;
    findings.conclude("no record is reordered", in_order);
    findings.conclude(
        "the shorter session makes the stall shorter",
        quick.stall < usual.stall,
    );
    Ok(findings)
}

fn killed(lab: &mut Lab, on: On) -> Result<Counts> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(on)?;
    let two = [("min.insync.replicas", "2")];
    let topic = Topic::create(cluster, &runtime, "leader-killed", &[1, 2, 3], &two)?;
    let sender = Sender::new(&topic, &[("acks", "all"), ("enable.idempotence", "true")])?;
    sender.send(10)?;
    sender.await_confirmed(10)?;
    sender.receipts().restart_clock();
    // ANCHOR: fault
    thread::scope(|scope| {
        let sending = scope.spawn(|| sender.send_at(10_000, 50_000));
        sender.await_confirmed(10_000)?;
        cluster.kill(1)?;
        sending
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    sender.settle()?;
    // ANCHOR_END: fault
    let read = topic.read(&sender.receipts().numbers())?;
    Ok(sender.receipts().counts(sender.sent(), &read))
}
