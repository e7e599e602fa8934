//! A FIFO queue takes a message once in five minutes: by an id, or by its body.
//!
//! Guarantee: a send that is repeated within five minutes puts nothing into the queue, and succeeds.
//! It says nothing about receiving: a message that is not deleted in time comes again.
//!
//! Run: `cargo run --example sqs_fifo_deduplication`

use std::{
    collections::HashMap,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
    },
};
use tokio::time::{Instant, sleep};

const BY_ID: &str = "sqs-fifo-deduplication-by-id.fifo";
const BY_BODY: &str = "sqs-fifo-deduplication-by-body.fifo";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: once
    let queue = create(&sqs, BY_ID, &[(Attribute::FifoQueue, "true")]).await?;
    send(&sqs, &queue, "order 17", Some("order-17")).await?;
    send(&sqs, &queue, "order 17, sent again", Some("order-17")).await?; // a retry of the sender
    println!("sent twice with one id: {:?}", take_all(&sqs, &queue).await?);
    send(&sqs, &queue, "order 17, again", Some("order-17")).await?;
    println!("received, deleted, sent again: {:?}", take_all(&sqs, &queue).await?);
    if let Err(error) = send(&sqs, &queue, "order 18", None).await {
        println!("sent without an id: {error}");
    }

    let attributes =
        [(Attribute::FifoQueue, "true"), (Attribute::ContentBasedDeduplication, "true")];
    let queue = create(&sqs, BY_BODY, &attributes).await?;
    send(&sqs, &queue, "one coffee", None).await?;
    send(&sqs, &queue, "one coffee", None).await?; // another guest's
    println!("two guests' orders with the same body: {:?}", take_all(&sqs, &queue).await?);
    // ANCHOR_END: once
    clean_up(&sqs, &aws).await
}

async fn send(sqs: &Client, queue: &str, body: &str, id: Option<&str>) -> Result<()> {
    let send = sqs.send_message().queue_url(queue).message_body(body).message_group_id("orders");
    let sent = send.set_message_deduplication_id(id.map(str::to_owned)).send().await;
    match sent {
        Ok(_) => Ok(()),
        Err(error) => bail!("{}", error.code().unwrap_or("no answer")),
    }
}

/// Receives and deletes until nothing has come for 2 s.
async fn take_all(sqs: &Client, queue: &str) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    while let Some(message) = receive(sqs, queue, 2).await? {
        delete(sqs, queue, &message).await?;
        taken.push(message.body.unwrap_or_default());
    }
    Ok(taken)
}

/// Receives one message by long polling; none if none comes within `seconds`.
async fn receive(sqs: &Client, queue: &str, seconds: i32) -> Result<Option<Message>> {
    // If an answer is lost, the SDK's retry gets the same messages, and needs not wait for them.
    let attempt = UNIX_EPOCH.elapsed()?.as_nanos().to_string();
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(seconds);
    let poll = poll.receive_request_attempt_id(attempt);
    let poll = poll.message_system_attribute_names(SystemAttribute::All);
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
    for name in [BY_ID, BY_BODY] {
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
