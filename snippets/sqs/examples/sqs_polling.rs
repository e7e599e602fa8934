//! Short polling asks and asks; long polling waits at SQS until there is something.
//!
//! Guarantee: none. An empty answer to a short poll does not mean that the queue is empty, because on
//! AWS it asks some servers only.
//!
//! Run: `cargo run --example sqs_polling`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{Client, config, error::SdkError, types::QueueAttributeName as Attribute};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-polling-orders";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    println!("an order becomes visible 3 s after it was sent");
    // ANCHOR: polling
    for (name, wait) in [("short polling", 0), ("long polling", 20)] {
        send_delayed(&sqs, &queue).await?;
        let mut empty = 0;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let poll = sqs.receive_message().queue_url(&queue).wait_time_seconds(wait);
            let received = poll.send().await?;
            if let Some(order) = received.messages().first() {
                let receipt = order.receipt_handle().context("no receipt handle")?;
                sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await?;
                break;
            }
            empty += 1; // each is a request, and is paid for
            ensure!(Instant::now() < deadline, "no order within 60 s");
            sleep(Duration::from_millis(50)).await;
        }
        println!("{name}: empty answers: {}", if empty > 0 { "some" } else { "none" });
    }
    // ANCHOR_END: polling
    clean_up(&sqs, &aws).await
}

async fn send_delayed(sqs: &Client, queue: &str) -> Result<()> {
    let order = sqs.send_message().queue_url(queue).message_body("an order");
    order.delay_seconds(3).send().await?;
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
