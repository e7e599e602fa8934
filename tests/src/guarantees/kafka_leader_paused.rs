//! A leader that was only paused comes back and confirms what it must then throw away.
//!
//! Run: `cargo run --bin guarantees kafka_leader_paused`

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_leader_paused",
    title: "Kafka: leader paused or killed",
    does: "The leader is paused or killed, 1,000 more records are sent, another node leads, a paused leader goes on.",
    on: On::QuickKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let paused = fail(lab, "paused", &[("acks", "1")])?;
    let killed = fail(lab, "killed", &[("acks", "1")])?;
    let safe = [("acks", "all"), ("enable.idempotence", "true")];
    let all = fail(lab, "paused", &safe)?;
    let mut findings = Findings::default();
    findings.case("acks=1, leader paused", &paused);
    findings.case("acks=1, leader killed", &killed);
    findings.case("acks=all and idempotent, leader paused", &all);
    findings.conclude(
        "acks=1, leader paused: confirmed records are lost",
        paused.lost > 0,
    );
    findings.conclude(
        "acks=1, leader killed: no confirmed record is lost",
        killed.lost == 0,
    );
    findings.conclude(
        "acks=all, leader paused: no confirmed record is lost",
        all.lost == 0,
    );
    Ok(findings)
}

fn fail(lab: &mut Lab, fault: &str, settings: &[(&str, &str)]) -> Result<Counts> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::QuickKafka)?;
    let name = format!("leader-{fault}.acks-{}", settings[0].1);
    let two = [("min.insync.replicas", "2")];
    let topic = Topic::create(cluster, &runtime, &name, &[1, 2, 3], &two)?;
    let sender = Sender::new(&topic, settings)?;
    sender.send(1_000)?;
    sender.await_confirmed(1_000)?;
    topic.read(&sender.receipts().numbers())?; // what can be read is on all replicas
    // ANCHOR: fault
    sender.receipts().restart_clock();
    match fault {
        "paused" => cluster.pause(1)?,
        _ => cluster.kill(1)?,
    }
    // They lie in the paused leader's sockets; a dead one's connection is known to be broken.
    sender.send(1_000)?;
    topic.await_leader_other_than(cluster, 1, 2)?;
    if fault == "paused" {
        cluster.resume(1)?;
    }
    sender.await_confirmed(2_000)?;
    // ANCHOR_END: fault
    let read = topic.read(&sender.receipts().numbers())?;
    Ok(sender.receipts().counts(sender.sent(), &read))
}
