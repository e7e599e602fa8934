//! Unclean election brings a leader at once, and loses what it had not copied: even with `acks=all`.
//!
//! Run: `cargo run --bin guarantees kafka_unclean_election`

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    kafka::{LIMIT, Sender, Topic},
    tally::wait_for,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_unclean_election",
    title: "Kafka: stale follower elected or not",
    does: "Two replicas, min.insync.replicas=1: the follower dies, the leader confirms 1,000 records and dies, the stale follower comes back, then the old leader.",
    on: On::QuickKafka,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let (on, used_again) = stale_follower(lab, "true")?;
    let (off, next) = stale_follower(lab, "false")?;
    let mut findings = Findings::default();
    findings.case("unclean.leader.election.enable=true", &on);
    findings.case("unclean.leader.election.enable=false", &off);
    findings.conclude(
        "unclean election on: confirmed records are lost",
        on.lost > 0,
    );
    findings.conclude(
        "unclean election off: no confirmed record is lost",
        off.lost == 0,
    );
    findings.conclude(
        "unclean election on: the next record has an offset that a lost record had",
        used_again < on.confirmed as i64,
    );
    findings.conclude(
        "unclean election off: the next record has an offset that none had",
        next == off.confirmed as i64,
    );
    Ok(findings)
}

/// What was counted, and the offset of the record that was sent next.
fn stale_follower(lab: &mut Lab, unclean: &str) -> Result<(Counts, i64)> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::QuickKafka)?;
    let name = format!("unclean-election.{unclean}");
    let settings = [
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", unclean),
    ];
    let topic = Topic::create(cluster, &runtime, &name, &[1, 2], &settings)?;
    let sender = Sender::new(&topic, &[("acks", "all"), ("enable.idempotence", "true")])?;
    sender.send(1_000)?;
    sender.await_confirmed(1_000)?;
    // ANCHOR: fault
    cluster.kill(2)?;
    wait_for("the leader alone in sync", LIMIT, || {
        Ok(topic.seen_by(cluster, 1)?.in_sync == [1])
    })?;
    sender.send(1_000)?;
    sender.await_confirmed(2_000)?;
    cluster.kill(1)?;
    cluster.restart(&[2])?;
    if unclean == "true" {
        topic.await_leader_other_than(cluster, 1, 2)?;
    }
    cluster.restart(&[1])?;
    // ANCHOR_END: fault
    wait_for("a leader", LIMIT, || {
        Ok(topic.seen_by(cluster, 1)?.leader > 0)
    })?;
    let read = topic.read(&sender.receipts().numbers())?;
    let mut counts = sender.receipts().counts(sender.sent(), &read);
    counts.stall = None; // the sending pauses by itself
    let later = Sender::new(&topic, &[("acks", "all")])?;
    later.send(1)?;
    later.await_confirmed(1)?;
    Ok((counts, topic.end()? - 1))
}
