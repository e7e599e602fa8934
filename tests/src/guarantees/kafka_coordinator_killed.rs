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
    does: "A consumer that commits every 500 has read 600 of 3,000 records when its coordinator's broker is killed; its topic is led by another node.",
    on: On::ThreeKafka,
    run,
};

const RECORDS: usize = 3_000;

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
    sender.send(RECORDS)?;
    sender.await_confirmed(RECORDS)?;

    let (mut read, mut gap) = (Vec::new(), Duration::ZERO);
    let (mut is_dead, mut is_done) = (false, false);
    let mut last = Instant::now();
    while !is_done {
        ensure!(last.elapsed() < LIMIT, "nothing more was read in 60 s");
        let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let number = number_of(&record)?;
        read.push(number);
        gap = gap.max(last.elapsed());
        last = Instant::now();
        // ANCHOR: fault
        if (number + 1).is_multiple_of(500) {
            // While there is no coordinator this fails: what was read is read again later.
            let is_committed = consumer.commit_consumer_state(CommitMode::Sync).is_ok();
            is_done = is_committed && number + 1 == RECORDS;
        }
        if read.len() == 600 {
            cluster.kill(usize::try_from(coordinator)?)?;
            is_dead = true;
        }
        // ANCHOR_END: fault
    }
    ensure!(is_dead, "the coordinator was to die");
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
    Ok(findings)
}
