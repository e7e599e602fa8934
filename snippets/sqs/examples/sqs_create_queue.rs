//! A queue with all that matters set, and what it says about itself.
//!
//! Guarantee: none. Creating a queue that exists with the same attributes returns it; with others it
//! is an error.
//!
//! Run: `cargo run --example sqs_create_queue`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    types::QueueAttributeName as Attribute,
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-create-queue-orders";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: attributes
    let attributes = [
        (Attribute::VisibilityTimeout, "60"), // s hidden after a receive: longer than the work
        (Attribute::MessageRetentionPeriod, "1209600"), // s kept, here 14 days, the most
        (Attribute::ReceiveMessageWaitTimeSeconds, "20"), // s a poll waits: long polling
        (Attribute::DelaySeconds, "0"),       // s before a new message is visible
        (Attribute::MaximumMessageSize, "1048576"), // bytes, here 1 MiB, the most
        (Attribute::SqsManagedSseEnabled, "true"), // encrypted at rest, keys by SQS
    ];
    let queue = create(&sqs, QUEUE, &attributes).await?;
    // ANCHOR_END: attributes
    let asked = sqs.get_queue_attributes().queue_url(&queue).attribute_names(Attribute::All);
    let answer = asked.send().await?;
    let told = answer.attributes().context("no attributes")?;
    println!("{QUEUE}");
    for (attribute, _) in &attributes {
        println!("  {attribute}: {}", told.get(attribute).context("not told")?);
    }

    let again = create(&sqs, QUEUE, &attributes).await?;
    println!("created again with the same attributes: the same queue: {}", again == queue);
    let other = sqs.create_queue().queue_name(QUEUE).attributes(Attribute::VisibilityTimeout, "30");
    match other.send().await {
        Ok(_) => println!("created again with another timeout: accepted"),
        Err(error) => println!(
            "created again with another timeout: {}\n  {}",
            error.code().unwrap_or("no answer"),
            error.message().unwrap_or_default()
        ),
    }
    clean_up(&sqs, &aws).await
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
