//! A message that is not to be seen at once: a delay of its own, or of its queue.
//!
//! Guarantee: nobody receives a message before its delay has passed. 900 s is the most. A FIFO queue
//! has a delay for the queue only.
//!
//! Run: `cargo run --example sqs_delay`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    types::QueueAttributeName as Attribute,
};
use tokio::time::{Instant, sleep};

const REMINDERS: &str = "sqs-delay-reminders";
const LATE: &str = "sqs-delay-late";
const FIFO: &str = "sqs-delay-reminders.fifo";

#[tokio::main]
async fn main() -> Result<()> {
    // Above the 20 s of a long poll. Without it a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: delay
    let reminders = create(&sqs, REMINDERS, &[]).await?;
    let send = sqs.send_message().queue_url(&reminders).message_body("in 3 s").delay_seconds(3);
    send.send().await?;
    sqs.send_message().queue_url(&reminders).message_body("now").send().await?;
    for _ in 0..2 {
        println!("{REMINDERS}: {}", next(&sqs, &reminders).await?);
    }

    let late = create(&sqs, LATE, &[(Attribute::DelaySeconds, "3")]).await?;
    sqs.send_message().queue_url(&late).message_body("everything late").send().await?;
    let send = sqs.send_message().queue_url(&late).message_body("but this").delay_seconds(0);
    send.send().await?; // a message's own delay wins
    for _ in 0..2 {
        println!("{LATE}: {}", next(&sqs, &late).await?);
    }
    // ANCHOR_END: delay

    let too_long = sqs.send_message().queue_url(&reminders).message_body("x").delay_seconds(901);
    println!("a delay of 901 s: {}", refusal(too_long.send().await));
    let fifo = [(Attribute::FifoQueue, "true"), (Attribute::ContentBasedDeduplication, "true")];
    let fifo = create(&sqs, FIFO, &fifo).await?;
    let send = sqs.send_message().queue_url(&fifo).message_body("x").message_group_id("all");
    println!("a delay of one message in FIFO: {}", refusal(send.delay_seconds(3).send().await));
    clean_up(&sqs, &aws).await
}

fn refusal<T, E: ProvideErrorMetadata>(result: Result<T, SdkError<E>>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => {
            let code = error.code().unwrap_or("no answer");
            format!("{code}\n  {}", error.message().unwrap_or_default())
        }
    }
}

/// The next message, deleted, with the seconds that it was waited for.
async fn next(sqs: &Client, queue: &str) -> Result<String> {
    let asked = Instant::now();
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20).send().await?;
    let message = poll.messages().first().context("no message within 20 s")?;
    let receipt = message.receipt_handle().context("no receipt handle")?;
    sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
    let waited = asked.elapsed() > Duration::from_secs(1);
    let waited = if waited { "after a while" } else { "at once" };
    Ok(format!("{:?}, {waited}", message.body().unwrap_or_default()))
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
    let own = sqs.list_queues().queue_name_prefix("sqs-delay-").customize();
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
