//! One broker with one replica: it keeps what it confirmed over a kill, and its producer waits long.
//!
//! Run: `cargo run --bin guarantees kafka_lone_broker`

use std::thread;

use anyhow::Result;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_lone_broker",
    title: "Kafka: a lone broker killed",
    does: "A single broker is killed and at once started again while a producer with acks=all and idempotence sends 5,000 records a second.",
    on: On::OneKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::OneKafka)?;
    let topic = Topic::create(cluster, &runtime, "lone-broker", &[1], &[])?;
    let sender = Sender::new(&topic, &[("acks", "all"), ("enable.idempotence", "true")])?;
    sender.send(1)?;
    sender.await_confirmed(1)?;
    sender.receipts().restart_clock();
    // ANCHOR: fault
    thread::scope(|scope| {
        let sending = scope.spawn(|| sender.send_at(5_000, 24_999));
        sender.await_confirmed(5_000)?;
        cluster.kill(1)?;
        cluster.restart(&[1])?;
        sending
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    sender.settle()?;
    // ANCHOR_END: fault
    let read = topic.read(&sender.receipts().numbers())?;
    let counts = sender.receipts().counts(sender.sent(), &read);
    let mut findings = Findings::default();
    findings.case("acks=all and idempotent", &counts);
    findings.conclude("no confirmed record is lost", counts.lost == 0);
    findings.conclude("no record is repeated", counts.repeated == 0);
    Ok(findings)
}
