//! Work that takes longer than the visibility timeout, with and without a heartbeat.
//!
//! Guarantee: while the heartbeat extends the timeout nobody else gets the message. Holds up to 12 h
//! after its receipt, and as long as the worker is alive and its clock runs.
//!
//! Run: `cargo run --example sqs_heartbeat`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
    },
};
use tokio::time::{Instant, interval, sleep};

const QUEUE: &str = "sqs-heartbeat-videos";
const TIMEOUT: i32 = 2; // s
const WORK: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    // Above the 20 s of a long poll. Without it a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "2")]).await?;
    for (name, beats) in [("without a heartbeat", false), ("with a heartbeat", true)] {
        sqs.send_message().queue_url(&queue).message_body("a video").send().await?;
        let video = receive(&sqs, &queue, 20).await?.context("no video")?;
        let (worked, other) = tokio::join!(work(&sqs, &queue, &video, beats), second(&sqs, &queue));
        worked?;
        let other = if other?.is_some() { "gets it too" } else { "gets nothing" };
        println!("5 s of work, 2 s hidden, {name}: a second worker {other}");
        let purged = sqs.purge_queue().queue_url(&queue).send().await;
        purged.context("cannot empty the queue")?;
    }
    clean_up(&sqs, &aws).await
}

// ANCHOR: heartbeat
/// Works on a message; a heartbeat hides it for another timeout whenever half of one has passed.
async fn work(sqs: &Client, queue: &str, message: &Message, beats: bool) -> Result<()> {
    let receipt = message.receipt_handle().context("no receipt handle")?;
    let mut heartbeat = interval(Duration::from_secs(1));
    let work = sleep(WORK); // yours
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => break,
            _ = heartbeat.tick(), if beats => {
                let extend = sqs.change_message_visibility().queue_url(queue);
                let extend = extend.receipt_handle(receipt).visibility_timeout(TIMEOUT);
                extend.send().await.context("the message may be with another worker")?;
            }
        }
    }
    sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
    Ok(())
}
// ANCHOR_END: heartbeat

/// Another worker, which asks for as long as the first one works.
async fn second(sqs: &Client, queue: &str) -> Result<Option<Message>> {
    receive(sqs, queue, 4).await
}

/// Receives one message by long polling; none if none comes within `seconds`.
async fn receive(sqs: &Client, queue: &str, seconds: i32) -> Result<Option<Message>> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(seconds);
    let poll = poll.message_system_attribute_names(SystemAttribute::All);
    Ok(poll.send().await?.messages.unwrap_or_default().pop())
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

/// Deletes the queues that carry this program's name. Its first call, so it also finds out whether
/// there is anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::new().timeout_config(limit);
    let own = sqs.list_queues().queue_name_prefix("sqs-heartbeat-").customize();
    let own = own.config_override(limited).send().await.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SQS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
