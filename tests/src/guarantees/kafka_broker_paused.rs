//! A broker that is only slow makes a producer send again. Idempotence removes the copies.
//!
//! Run: `cargo run --bin guarantees kafka_broker_paused`

use std::{thread, time::Duration};

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{Sender, Topic},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_broker_paused",
    title: "Kafka: broker paused",
    does: "One broker is paused for 5 s while a producer sends; the producer's socket.timeout.ms is 2 s.",
    on: On::OneKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let without = paused(lab, "false")?;
    let with = paused(lab, "true")?;
    let mut findings = Findings::default();
    findings.case("enable.idempotence=false", &without);
    findings.case("enable.idempotence=true", &with);
    findings.conclude(
        "without idempotence, records are repeated",
        without.repeated > 0,
    );
    findings.conclude(
        "with idempotence, no record is repeated",
        with.repeated == 0,
    );
    let nothing_lost = without.lost + with.lost == 0;
    findings.conclude("no confirmed record is lost", nothing_lost);
    Ok(findings)
}

fn paused(lab: &mut Lab, idempotence: &str) -> Result<Counts> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::OneKafka)?;
    let name = format!("broker-paused.idempotence-{idempotence}");
    let topic = Topic::create(cluster, &runtime, &name, &[1], &[])?;
    let sender = Sender::new(
        &topic,
        &[
            ("acks", "all"),
            ("enable.idempotence", idempotence),
            ("socket.timeout.ms", "2000"),
        ],
    )?;
    // ANCHOR: fault
    thread::scope(|scope| {
        let sending = scope.spawn(|| sender.send_at(2_000, 16_000));
        sender.await_confirmed(2_000)?;
        cluster.pause(1)?;
        // Longer than the client waits for an answer, shorter than it waits altogether.
        thread::sleep(Duration::from_secs(5));
        cluster.resume(1)?;
        sending
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    sender.settle()?;
    // ANCHOR_END: fault
    let read = topic.read(&sender.receipts().numbers())?;
    Ok(sender.receipts().counts(sender.sent(), &read))
}
