//! A noisy tenant and a quiet one in a standard queue, told apart by a message group.
//!
//! Guarantee: none for the order. On AWS, messages of quiet groups are preferred while a noisy one
//! has a backlog; an emulator takes the group and does nothing with it.
//!
//! Run: `cargo run --example sqs_fair_queue`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
        SendMessageBatchRequestEntry as Entry,
    },
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-fair-queue-reports"; // a standard queue: no .fifo

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    // ANCHOR: fair
    send(&sqs, &queue, "noisy", 50).await?;
    send(&sqs, &queue, "quiet", 5).await?;
    println!("in the queue: 50 reports of a noisy tenant, then 5 of a quiet one");
    let (mut of_quiet, mut before, mut received) = (0, 0, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while received < 55 {
        ensure!(Instant::now() < deadline, "only {received} of 55 within 60 s");
        for report in receive(&sqs, &queue, 20).await? {
            received += 1;
            let tenant = SystemAttribute::MessageGroupId;
            let tenant =
                report.attributes().and_then(|all| all.get(&tenant)).context("no group")?;
            match tenant.as_str() {
                "quiet" => of_quiet += 1,
                _ if of_quiet < 5 => before += 1,
                _ => {}
            }
            delete(&sqs, &queue, &report).await?;
        }
    }
    println!("received: {received}, of the quiet tenant: {of_quiet}");
    println!("received before the quiet tenant was done: {before} of the noisy one");
    // ANCHOR_END: fair
    clean_up(&sqs, &aws).await
}

async fn send(sqs: &Client, queue: &str, tenant: &str, count: usize) -> Result<()> {
    for first in (0..count).step_by(10) {
        let entries = (first..count.min(first + 10)).map(|number| {
            let entry = Entry::builder().id(number.to_string()).message_group_id(tenant);
            Ok(entry.message_body(format!("report {number} of {tenant}")).build()?)
        });
        let entries: Vec<Entry> = entries.collect::<Result<_>>()?;
        let batch = sqs.send_message_batch().queue_url(queue).set_entries(Some(entries));
        let answer = batch.send().await?;
        ensure!(answer.failed().is_empty(), "failed: {:?}", answer.failed());
    }
    Ok(())
}

/// Receives up to ten messages by long polling; none if none comes within `seconds`.
async fn receive(sqs: &Client, queue: &str, seconds: i32) -> Result<Vec<Message>> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(seconds);
    let poll = poll.max_number_of_messages(10).message_attribute_names("All");
    let received = poll.message_system_attribute_names(SystemAttribute::All).send().await?;
    Ok(received.messages.unwrap_or_default())
}

async fn delete(sqs: &Client, queue: &str, message: &Message) -> Result<()> {
    let receipt = message.receipt_handle().context("no receipt handle")?;
    sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
    Ok(())
}

/// Creates a queue. AWS refuses a name for 60 s after its deletion: waits that out.
async fn create(sqs: &Client, name: &str, attributes: &[(Attribute, &str)]) -> Result<String> {
    let attributes = attributes.iter().map(|(key, value)| (key.clone(), value.to_string()));
    let attributes: HashMap<_, _> = attributes.collect();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let asked = sqs.create_queue().queue_name(name).set_attributes(Some(attributes.clone()));
        match asked.send().await.map_err(SdkError::into_service_error) {
            Ok(created) => return created.queue_url.context("SQS gave no address"),
            Err(error) if error.is_queue_deleted_recently() && Instant::now() < deadline => {
                eprintln!("{name} was deleted less than 60 s ago; trying again in 5 s");
                sleep(Duration::from_secs(5)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot create {name}")),
        }
    }
}

/// Deletes the queues of this program. Its first call, so it also finds out whether there is
/// anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    for name in [QUEUE] {
        let limited = config::Builder::new().timeout_config(limit.clone());
        let found = sqs.get_queue_url().queue_name(name).customize().config_override(limited);
        match found.send().await {
            Ok(found) => {
                sqs.delete_queue().set_queue_url(found.queue_url).send().await?;
            }
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {
            }
            Err(error) => {
                let endpoint = aws.endpoint_url().unwrap_or("AWS");
                return Err(error).with_context(|| {
                    format!(
                        "cannot use SQS at {endpoint}; to start an emulator: \
                         docker compose up -d --wait, or cargo run --bin sandbox -- up"
                    )
                });
            }
        }
    }
    Ok(())
}
