//! A thousand messages sent one by one, in batches, and in batches side by side: requests and time.
//!
//! Guarantee: all three put every message into the queue at least once.
//!
//! Run: `cargo run --example sqs_batch_cost`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{QueueAttributeName as Attribute, SendMessageBatchRequestEntry as Entry},
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep};

const QUEUES: [&str; 3] =
    ["sqs-batch-cost-single", "sqs-batch-cost-batched", "sqs-batch-cost-side-by-side"];
const MESSAGES: usize = 1000;
const PRICE: f64 = 0.40; // dollars for a million requests: see the page for date and source

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let mut slowest = None;
    let ways = [("one by one", 1, 1), ("in batches", 10, 1), ("in batches, 8 at once", 10, 8)];
    for (queue, (name, size, at_once)) in QUEUES.into_iter().zip(ways) {
        let queue = create(&sqs, queue, &[]).await?;
        let started = Instant::now();
        let requests = send_all(&sqs, &queue, size, at_once).await?;
        let took = started.elapsed().as_secs_f64();
        let times = *slowest.get_or_insert(took) / took;
        let visible = number(&sqs, &queue, Attribute::ApproximateNumberOfMessages).await?;
        println!("{name}: {visible} messages by {requests} requests");
        println!("  a million messages: {:.2} dollars", requests as f64 / MESSAGES as f64 * PRICE);
        println!("  in this run {times:.1} times as fast as one by one");
    }
    clean_up(&sqs, &aws).await
}

// ANCHOR: send
/// Sends all messages in requests of `size`, `at_once` of them side by side. Returns the requests.
async fn send_all(sqs: &Client, queue: &str, size: usize, at_once: usize) -> Result<usize> {
    let requests = stream::iter((0..MESSAGES).step_by(size)).map(|first| async move {
        let entries = (first..first + size).map(|number| {
            let entry = Entry::builder().id(number.to_string());
            Ok(entry.message_body(format!("reading {number}")).build()?)
        });
        let entries: Vec<Entry> = entries.collect::<Result<_>>()?;
        let batch = sqs.send_message_batch().queue_url(queue).set_entries(Some(entries));
        let answer = batch.send().await?;
        ensure!(answer.failed().is_empty(), "failed: {:?}", answer.failed());
        Ok(())
    });
    requests.buffer_unordered(at_once).try_fold(0, |sent, ()| async move { Ok(sent + 1) }).await
}
// ANCHOR_END: send

/// A number of the queue, such as how many messages are visible: approximate on AWS.
async fn number(sqs: &Client, queue: &str, attribute: Attribute) -> Result<usize> {
    let asked = sqs.get_queue_attributes().queue_url(queue).attribute_names(attribute.clone());
    let answer = asked.send().await?;
    let number = answer.attributes().and_then(|all| all.get(&attribute)).context("no number")?;
    Ok(number.parse()?)
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
    for name in QUEUES {
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
