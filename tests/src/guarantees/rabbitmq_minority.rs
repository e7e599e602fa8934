//! Without a majority RabbitMQ connects, says that it is well, and confirms nothing.
//!
//! Run: `cargo run --bin guarantees rabbitmq_minority`

use std::time::Duration;

use anyhow::{Context, Result};
use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::time::timeout;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare, open},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_minority",
    title: "RabbitMQ: two of three dead",
    does: "Two of three nodes are killed; the third is asked for everything, each on a connection of its own; then one comes back.",
    on: On::ThreeRabbitMq,
    run,
};

const QUORUM: &str = "minority.quorum";
const STREAM: &str = "minority.stream";
const CLASSIC: &str = "minority.classic";

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let url = cluster.endpoint(1)?;
    for (queue, kind) in [(QUORUM, "quorum"), (STREAM, "stream"), (CLASSIC, "classic")] {
        wait(&runtime, "a queue", LIMIT, declare(&url, queue, kind))?;
    }
    // A younger queue may lose what it confirmed: rabbitmq_young_queue.
    std::thread::sleep(Duration::from_secs(5));
    let mut before = Publisher::new(vec![url.clone()], QUORUM, "quorum");
    (before.count, before.per_second) = (1_000, 0);
    wait(&runtime, "confirms", LIMIT, before.clone().publish())?;
    // ANCHOR: fault
    cluster.kill(2)?;
    cluster.kill(3)?;

    let health = format!("{}/api/health/checks/local-alarms", cluster.management(1)?);
    let probes = async {
        tokio::join!(
            publish(&url, CLASSIC, 10),
            publish(&url, QUORUM, 40),
            get(&url, QUORUM),
            publish(&url, STREAM, 60),
            declare(&url, "minority.new", "classic"),
        )
    };
    let (classic, quorum, got, stream, declared) =
        wait(&runtime, "the probes", LIMIT * 2, async {
            Ok(probes.await)
        })?;
    // ANCHOR_END: fault
    let is_healthy = ureq::get(&health).call().is_ok();
    cluster.restart(&[2])?;
    let mut after = Publisher::new(vec![url.clone()], QUORUM, "quorum");
    (after.count, after.per_second) = (1_000, 0);
    let confirmed_again = wait(&runtime, "confirms", LIMIT, after.clone().publish()).is_ok();
    let arrived = wait(&runtime, "reading", LIMIT * 2, before.read(&url))?;
    // Both publishers number from 0: the first copies are those of before.
    let (first, later) = arrived.split_at(arrived.len().min(1_000));
    let mut counts = before.receipts.counts(before.count, first);
    counts.stall = None; // the sending ends before the fault

    let mut findings = Findings::default();
    findings.case("quorum queue", &counts);
    findings.conclude("no confirmed message is lost", counts.lost == 0);
    findings.conclude(
        "connecting, and a classic queue on the living node: as always",
        classic == Answer::Confirmed,
    );
    findings.conclude(
        "publishing to a quorum queue: no confirm within 40 s, and no error",
        quorum == Answer::Silence,
    );
    findings.conclude(
        "basic.get from a quorum queue: no answer within 10 s",
        got == Answer::Silence,
    );
    findings.conclude(
        "publishing to a stream: the connection ends with an error",
        matches!(stream, Answer::Error(_)),
    );
    findings.conclude(
        "declaring a classic queue: INTERNAL_ERROR",
        declared.is_err_and(|error| format!("{error:#}").contains("INTERNAL_ERROR")),
    );
    findings.conclude("/api/health/checks/local-alarms: ok", is_healthy);
    findings.conclude(
        "when one node is back, messages are confirmed and read again",
        confirmed_again && later.contains(&999),
    );
    Ok(findings)
}

#[derive(Debug, PartialEq)]
enum Answer {
    Confirmed,
    Silence,
    Error(String),
}

async fn publish(url: &str, queue: &str, seconds: u64) -> Answer {
    let published = async {
        let (_connection, channel) = open(url).await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let payload = format!("{:0100}", 5_000);
        let queue = queue.into();
        let publishing =
            channel.basic_publish("".into(), queue, options, payload.as_bytes(), properties);
        publishing.await?.await.context("no confirm")
    };
    match timeout(Duration::from_secs(seconds), published).await {
        Err(_) => Answer::Silence,
        Ok(Ok(answer)) if answer.is_ack() => Answer::Confirmed,
        Ok(Ok(_)) => Answer::Error("refused".to_owned()),
        Ok(Err(error)) => Answer::Error(format!("{error:#}")),
    }
}

async fn get(url: &str, queue: &str) -> Answer {
    let getting = async {
        let (_connection, channel) = open(url).await?;
        let got = channel
            .basic_get(queue.into(), BasicGetOptions::default())
            .await;
        got.context("basic.get")
    };
    match timeout(Duration::from_secs(10), getting).await {
        Err(_) => Answer::Silence,
        Ok(Ok(_)) => Answer::Confirmed,
        Ok(Err(error)) => Answer::Error(format!("{error:#}")),
    }
}
