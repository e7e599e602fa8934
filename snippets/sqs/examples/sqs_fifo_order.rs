//! A FIFO queue: order within each message group, and a group that waits for its first message.
//!
//! Guarantee: messages of a group come in the order in which they were sent, one receiver at a time:
//! while one of them is hidden, the rest of its group waits. Other groups go on.
//!
//! Run: `cargo run --example sqs_fifo_order`

use std::{
    collections::HashMap,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
    },
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-fifo-order-orders.fifo"; // the ending is required

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: groups
    let fifo = [(Attribute::FifoQueue, "true"), (Attribute::ContentBasedDeduplication, "true")];
    let queue = create(&sqs, QUEUE, &fifo).await?;
    for (customer, step) in
        [("ann", "ordered"), ("bob", "ordered"), ("ann", "paid"), ("bob", "paid"), ("ann", "sent")]
    {
        let send = sqs.send_message().queue_url(&queue).message_body(format!("{customer}: {step}"));
        send.message_group_id(customer).send().await?; // one order of events for each customer
    }

    let first = receive(&sqs, &queue).await?.context("no message")?;
    println!("one worker takes: {}", told(&first));
    let second = receive(&sqs, &queue).await?.context("no message")?;
    println!("another one gets: {}", told(&second));
    let third = receive(&sqs, &queue).await?;
    println!("a third one: {}", third.map_or("nothing: both groups wait", |_| "a message"));
    delete(&sqs, &queue, &first).await?;
    let next = receive(&sqs, &queue).await?.context("no message")?;
    println!("the first is deleted, then comes: {}", told(&next));
    // ANCHOR_END: groups
    delete(&sqs, &queue, &second).await?;
    delete(&sqs, &queue, &next).await?;
    let mut rest = Vec::new();
    while let Some(message) = receive(&sqs, &queue).await? {
        rest.push(told(&message));
        delete(&sqs, &queue, &message).await?;
    }
    rest.sort(); // between groups there is no order
    println!("and at last: {rest:?}");
    clean_up(&sqs, &aws).await
}

fn told(message: &Message) -> String {
    message.body().unwrap_or_default().to_owned()
}

/// Receives one message of a group that no other worker holds; none if none comes within 2 s.
async fn receive(sqs: &Client, queue: &str) -> Result<Option<Message>> {
    // If an answer is lost, the SDK's retry gets the same messages, and needs not wait for them.
    let attempt = UNIX_EPOCH.elapsed()?.as_nanos().to_string();
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(2);
    let poll = poll.receive_request_attempt_id(attempt);
    let poll = poll.message_system_attribute_names(SystemAttribute::MessageGroupId);
    Ok(poll.send().await?.messages.unwrap_or_default().pop())
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
