//! A worker that deletes before the work loses messages when it dies; one that deletes after, does some
//! twice. On an emulator: it shows the rules of visibility, not the durability of SQS.
//!
//! Run: `cargo run --bin guarantees sqs_worker_dies`

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::BehaviorVersion;
use aws_sdk_sqs::{Client, types::QueueAttributeName as Attribute};
use guide::guarantees::Counts;
use tokio::time::timeout;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    tally,
    worker::{Work, numbers},
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "sqs_worker_dies",
    title: "SQS: worker killed",
    does: "A worker takes messages ten at a time and dies at the 15th of 30; when their visibility timeout of 3 s has passed, another one goes on. An emulator of SQS.",
    on: On::LocalStack,
    run,
};

const MESSAGES: usize = 30;
const LIMIT: Duration = Duration::from_secs(60);

fn run(lab: &mut Lab) -> Result<Findings> {
    let delete_first = dies(lab, "guarantees-delete-first", "delete")?;
    let work_first = dies(lab, "guarantees-work-first", "work")?;
    let fifo = dies(lab, "guarantees-work-first.fifo", "work")?;
    let mut findings = Findings::default();
    findings.case("standard queue, deletes, then works", &delete_first);
    findings.case("standard queue, works, then deletes", &work_first);
    findings.case("FIFO queue, works, then deletes", &fifo);
    findings.conclude("deletes first: messages are lost", delete_first.lost > 0);
    findings.conclude(
        "works first: none is lost and some are repeated",
        work_first.lost + fifo.lost == 0 && work_first.repeated > 0 && fifo.repeated > 0,
    );
    findings.conclude(
        "standard queue: what the dead worker had taken comes out of order",
        work_first.reordered > 0,
    );
    findings.conclude(
        "FIFO queue: the message group waits, and its order is kept",
        fifo.reordered == 0,
    );
    Ok(findings)
}

fn dies(lab: &mut Lab, queue: &str, first: &str) -> Result<Counts> {
    let environment = lab.localstack()?;
    let (runtime, worker) = (lab.runtime(), lab.worker.clone());
    let value = |name: &str| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found
            .map(|(_, value)| value.clone())
            .with_context(|| format!("no {name}"))
    };
    let endpoint = value("AWS_ENDPOINT_URL")?;
    let sending = async {
        let sqs = client(&endpoint).await;
        send(&sqs, queue).await
    };
    let url = wait(&runtime, "sending", LIMIT, sending)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("done");
    let path = file.to_string_lossy();
    let arguments = ["take", &endpoint, &url, first, &path];
    // ANCHOR: fault
    let mut victim = Work::start(&worker, &[&arguments[..], &["15"]].concat())?;
    ensure!(!victim.ended_well(LIMIT)?, "the worker was to die");
    let mut heir = Work::start(&worker, &[&arguments[..], &["0"]].concat())?;
    ensure!(heir.ended_well(LIMIT)?, "the second worker failed");
    // ANCHOR_END: fault
    let confirmed: BTreeSet<_> = (0..MESSAGES).collect();
    Ok(tally::counts(MESSAGES, &confirmed, &numbers(&file)?, None))
}

/// A client of the emulator. Its credentials come from `.cargo/config.toml`.
pub async fn client(endpoint: &str) -> Client {
    let settings = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(endpoint);
    Client::new(&settings.load().await)
}

async fn send(sqs: &Client, queue: &str) -> Result<String> {
    let is_fifo = queue.ends_with(".fifo");
    let mut creating = sqs.create_queue().queue_name(queue);
    creating = creating.attributes(Attribute::VisibilityTimeout, "3");
    if is_fifo {
        creating = creating.attributes(Attribute::FifoQueue, "true");
    }
    let created = creating.send().await?;
    let url = created.queue_url.context("SQS gave no address")?;
    // A run before may have used the name.
    sqs.purge_queue().queue_url(&url).send().await?;
    for number in 0..MESSAGES {
        let body = number.to_string();
        let mut sending = sqs.send_message().queue_url(&url).message_body(&body);
        if is_fifo {
            let id = format!("{body}-{}", std::process::id());
            sending = sending
                .message_group_id("orders")
                .message_deduplication_id(id);
        }
        sending.send().await?;
    }
    Ok(url)
}

/// What the worker does with its messages; `dies` is called for each one.
///
/// # Errors
/// The emulator does not answer.
pub async fn take(
    sqs: &Client,
    url: &str,
    deletes_first: bool,
    mut work: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    loop {
        let poll = sqs
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10);
        let polling = poll.wait_time_seconds(6).send();
        let messages = timeout(LIMIT, polling)
            .await
            .context("no answer within 60 s")??;
        if messages.messages().is_empty() {
            return Ok(()); // longer than the visibility timeout: nothing is left
        }
        if deletes_first {
            for message in messages.messages() {
                delete(sqs, url, message).await?;
            }
        }
        for message in messages.messages() {
            work(message.body().unwrap_or_default().parse()?)?;
            if !deletes_first {
                delete(sqs, url, message).await?;
            }
        }
    }
}

async fn delete(sqs: &Client, url: &str, message: &aws_sdk_sqs::types::Message) -> Result<()> {
    let receipt = message.receipt_handle().context("no receipt handle")?;
    sqs.delete_message()
        .queue_url(url)
        .receipt_handle(receipt)
        .send()
        .await?;
    Ok(())
}
