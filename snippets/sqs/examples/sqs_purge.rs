//! Purging a queue, deleting it, and using its name again.
//!
//! Guarantee: on AWS a purge and a deletion take up to 60 s: messages sent meanwhile may vanish, and
//! the name is refused. An emulator does both at once.
//!
//! Run: `cargo run --example sqs_purge`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    types::QueueAttributeName as Attribute,
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-purge-orders";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    for number in 1..=3 {
        let body = format!("order {number}");
        sqs.send_message().queue_url(&queue).message_body(body).send().await?;
    }
    let visible = || number(&sqs, &queue, Attribute::ApproximateNumberOfMessages);
    println!("in the queue: {}", visible().await?);
    // ANCHOR: purge
    sqs.purge_queue().queue_url(&queue).send().await?;
    println!("purged, in the queue: {}", visible().await?);
    sqs.delete_queue().queue_url(&queue).send().await?;
    match sqs.send_message().queue_url(&queue).message_body("too late").send().await {
        Ok(_) => println!("deleted, then sent to: accepted, and lost"), // within 60 s, on AWS
        Err(error) => println!("deleted, then sent to: {}", error.code().unwrap_or("no answer")),
    }
    // Waits up to 60 s on AWS: the name is refused with QueueDeletedRecently.
    create(&sqs, QUEUE, &[]).await?;
    println!("created again");
    // ANCHOR_END: purge
    clean_up(&sqs, &aws).await
}

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
