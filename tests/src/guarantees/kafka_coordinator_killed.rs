//! A group whose coordinator's broker dies stands still, and repeats what it had not committed.
//!
//! Run: `cargo run --bin guarantees kafka_coordinator_killed`

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

use super::{
    Experiment, Findings, Lab, On,
    kafka::{LIMIT, Sender, Topic, config, number_of},
    tally,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "kafka_coordinator_killed",
    title: "Kafka: coordinator killed",
    does: "A consumer that commits every 500 records has read 600 when its coordinator's broker is killed; its topic is led by another node.",
    on: On::ThreeKafka,
    run,
};

const RECORDS: usize = 3_000;
/// What is sent, and read, before the coordinator dies.
const BEFORE: usize = 600;

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeKafka)?;
    let (_, servers) = cluster.environment().remove(0);
    let offsets = Topic {
        servers: servers.clone(),
        name: "__consumer_offsets".to_owned(),
    };
    let mut settings = config(&servers);
    settings
        .set("group.id", "coordinator-killed")
        .set("session.timeout.ms", "6000")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = settings.create()?;
    consumer.fetch_group_list(Some("coordinator-killed"), LIMIT)?;
    // The first question for a coordinator makes the topic that decides who it is.
    let mut coordinator = -1;
    tally::wait_for("a coordinator", LIMIT, || {
        consumer.subscribe(&["coordinator-killed"])?;
        consumer.poll(Duration::from_millis(100));
        coordinator = offsets.seen_by(cluster, 1)?.leader;
        Ok(coordinator > 0)
    })?;
    let others: Vec<i32> = (1..=3).filter(|node| *node != coordinator).collect();
    let replicas = [others[0], others[1], coordinator];
    let two = [("min.insync.replicas", "2")];
    let topic = Topic::create(cluster, &runtime, "coordinator-killed", &replicas, &two)?;
    let sender = Sender::new(&topic, &[("acks", "all")])?;
    sender.send(BEFORE)?;
    sender.await_confirmed(BEFORE)?;

    let (mut read, mut gap) = (Vec::new(), Duration::ZERO);
    let mut last = Instant::now();
    while read.last() != Some(&(RECORDS - 1)) {
        ensure!(last.elapsed() < LIMIT, "nothing more was read in 60 s");
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        read.push(number_of(&record)?);
        gap = gap.max(last.elapsed());
        last = Instant::now();
        // ANCHOR: fault
        if read.len().is_multiple_of(500) {
            consumer.commit_consumer_state(CommitMode::Sync)?;
        }
        if read.len() == BEFORE {
            cluster.kill(usize::try_from(coordinator)?)?;
            gap = Duration::ZERO; // what counts begins here
        }
        // ANCHOR_END: fault
        if read.len() == BEFORE + 1 {
            sender.send(RECORDS - BEFORE)?; // the group works again
        }
    }
    let counts = tally::counts(
        sender.sent(),
        &sender.receipts().numbers(),
        &read,
        Some(gap),
    );
    let mut findings = Findings::default();
    findings.case("commits every 500, session.timeout.ms=6000", &counts);
    findings.conclude("no confirmed record is lost", counts.lost == 0);
    findings.conclude("what was not committed is repeated", counts.repeated > 0);
    findings.conclude(
        "the group stands still for longer than its session of 6 s",
        gap > Duration::from_secs(6),
    );
    Ok(findings)
}
