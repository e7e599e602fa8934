//! The errors of SQS, by code and message, each provoked.
//!
//! Guarantee: none. The codes are those of AWS; the emulator's messages differ in places.
//!
//! Run: `cargo run --example sqs_errors`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        receive_message::ReceiveMessageOutput,
        send_message_batch::builders::SendMessageBatchFluentBuilder as Batch,
    },
    types::{QueueAttributeName as Attribute, SendMessageBatchRequestEntry as Entry},
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-errors-orders";
const FIFO: &str = "sqs-errors-orders.fifo";
const SHORT: &str = "sqs-errors-short";
const LOST: &str = "sqs-errors-lost";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    let fifo = create(&sqs, FIFO, &[(Attribute::FifoQueue, "true")]).await?;
    // ANCHOR: errors
    let gone = queue.replace("orders", "gone");
    let send = || sqs.send_message().queue_url(&queue).message_body("an order");
    report("send to a queue that does not exist", send().queue_url(gone).send().await);
    report("send a body with a NUL", send().message_body("\0").send().await);
    report("send an empty body", send().message_body("").send().await);

    let poll = || sqs.receive_message().queue_url(&queue);
    report("wait for 21 s", poll().wait_time_seconds(21).send().await);
    report("receive 11 messages", poll().max_number_of_messages(11).send().await);

    let delete = sqs.delete_message().queue_url(&queue);
    report("delete with a wrong handle", delete.receipt_handle("wrong").send().await);
    send().send().await?;
    let hidden = receipt(poll().wait_time_seconds(20).send().await?)?;
    let hide = || sqs.change_message_visibility().queue_url(&queue);
    let too_long = hide().receipt_handle(hidden).visibility_timeout(43_201);
    report("hide for 12 h and 1 s", too_long.send().await);
    send().send().await?;
    let visible = poll().visibility_timeout(0).wait_time_seconds(20).send().await?;
    let too_late = hide().receipt_handle(receipt(visible)?).visibility_timeout(30);
    report("hide a message that is visible again", too_late.send().await);

    report("send a batch of 11", batch(&sqs, &queue, 11)?.send().await);
    report("send a batch of none", batch(&sqs, &queue, 0)?.send().await);
    let twice = batch(&sqs, &queue, 1)?.entries(entry(0)?);
    report("send a batch with an id twice", twice.send().await);

    let send = || sqs.send_message().queue_url(&fifo).message_body("an order");
    report("FIFO without a group", send().send().await);
    report("FIFO without an id", send().message_group_id("orders").send().await);
    let named = sqs.create_queue().queue_name(QUEUE).attributes(Attribute::FifoQueue, "true");
    report("create a FIFO queue without .fifo", named.send().await);
    let named = sqs.create_queue().queue_name("sqs-errors-an order");
    report("create a queue with a space", named.send().await);
    let short = sqs.create_queue().queue_name(SHORT);
    let short = short.attributes(Attribute::MessageRetentionPeriod, "59");
    report("create a queue that keeps messages for 59 s", short.send().await);
    let no_arn = "arn:aws:sqs:us-east-1:000000000000:sqs-errors-no-such-queue";
    let redrive = format!(r#"{{"deadLetterTargetArn":"{no_arn}","maxReceiveCount":3}}"#);
    let lost = sqs.create_queue().queue_name(LOST).attributes(Attribute::RedrivePolicy, redrive);
    report("create a queue whose dead-letter queue does not exist", lost.send().await);
    // ANCHOR_END: errors
    clean_up(&sqs, &aws).await
}

/// Prints the code, by which programs decide, and the message, which people read.
fn report<T, E: ProvideErrorMetadata>(what: &str, result: Result<T, SdkError<E>>) {
    match result {
        Ok(_) => println!("{what}: accepted"),
        Err(error) => println!(
            "{what}: {}\n  {}",
            error.code().unwrap_or("no code"),
            error.message().unwrap_or("no message")
        ),
    }
}

/// The receipt of the message that was received.
fn receipt(received: ReceiveMessageOutput) -> Result<String> {
    let message = received.messages.and_then(|mut messages| messages.pop());
    message.and_then(|message| message.receipt_handle).context("no message within 20 s")
}

fn batch(sqs: &Client, queue: &str, count: usize) -> Result<Batch> {
    let entries = (0..count).map(entry).collect::<Result<_>>()?;
    Ok(sqs.send_message_batch().queue_url(queue).set_entries(Some(entries)))
}

fn entry(id: usize) -> Result<Entry> {
    Ok(Entry::builder().id(id.to_string()).message_body("an order").build()?)
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
    for name in [QUEUE, FIFO, SHORT, LOST] {
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
