//! A message that is not to be seen at once: a delay of its own, or of its queue.
//!
//! Guarantee: nobody receives a message before its delay has passed. 900 s is the most. A FIFO queue
//! has a delay for the queue only.
//!
//! Run: `cargo run --example sqs_delay`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
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
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: delay
    let reminders = create(&sqs, REMINDERS, &[]).await?;
    let send = sqs.send_message().queue_url(&reminders).message_body("in 3 s").delay_seconds(3);
    send.send().await?;
    sqs.send_message().queue_url(&reminders).message_body("now").send().await?;
    let sent = Instant::now();
    println!(
        "{REMINDERS}: {} and then {}",
        next(&sqs, &reminders).await?,
        next(&sqs, &reminders).await?
    );
    ensure!(sent.elapsed() > Duration::from_secs(2), "it came before its time");

    let late = create(&sqs, LATE, &[(Attribute::DelaySeconds, "3")]).await?;
    sqs.send_message().queue_url(&late).message_body("everything late").send().await?;
    let send = sqs.send_message().queue_url(&late).message_body("but this").delay_seconds(0);
    send.send().await?; // a message's own delay wins
    println!("{LATE}: {} and then {}", next(&sqs, &late).await?, next(&sqs, &late).await?);
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

/// The next message, deleted.
async fn next(sqs: &Client, queue: &str) -> Result<String> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20).send().await?;
    let message = poll.messages().first().context("no message within 20 s")?;
    let receipt = message.receipt_handle().context("no receipt handle")?;
    sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
    Ok(format!("{:?}", message.body().unwrap_or_default()))
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
    for name in [REMINDERS, LATE, FIFO] {
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
