//! A message that is not deleted in time comes back: with a new receipt handle and a higher count.
//!
//! Guarantee: at least once. While a message is hidden no other receiver gets it, on AWS with rare
//! exceptions; the time ends whether the work has ended or not.
//!
//! Run: `cargo run --example sqs_visibility`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
    },
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-visibility-orders";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "5")]).await?;
    sqs.send_message().queue_url(&queue).message_body("order 17").send().await?;
    // ANCHOR: again
    let first = receive(&sqs, &queue, 20).await?.context("no message")?;
    println!("received: {}", told(&first)?);
    let hidden = receive(&sqs, &queue, 0).await?.is_none();
    println!("asked at once: {}", if hidden { "nothing, it is hidden" } else { "there it is" });
    let second = receive(&sqs, &queue, 20).await?.context("no message")?; // waits the 5 s
    println!("received: {}", told(&second)?);
    println!("the same message: {}", first.message_id() == second.message_id());
    println!("the same receipt handle: {}", first.receipt_handle() == second.receipt_handle());

    // Back at once: 0 ends the time. That is how a worker gives up early.
    change(&sqs, &queue, &second, 0).await?;
    let third = receive(&sqs, &queue, 20).await?.context("no message")?;
    println!("given back, received: {}", told(&third)?);
    // ANCHOR_END: again
    delete(&sqs, &queue, &third).await?;
    let gone = receive(&sqs, &queue, 3).await?.is_none();
    ensure!(gone, "deleted, and it came again");
    println!("deleted, and it does not come back");
    clean_up(&sqs, &aws).await
}

fn told(message: &Message) -> Result<String> {
    let count = SystemAttribute::ApproximateReceiveCount;
    let count = message.attributes().and_then(|all| all.get(&count)).context("no count")?;
    Ok(format!("{}, receive count {count}", message.body().unwrap_or_default()))
}

async fn change(sqs: &Client, queue: &str, message: &Message, seconds: i32) -> Result<()> {
    let receipt = message.receipt_handle().context("no receipt handle")?;
    let change = sqs.change_message_visibility().queue_url(queue).receipt_handle(receipt);
    change.visibility_timeout(seconds).send().await?;
    Ok(())
}

/// Receives one message by long polling; none if none comes within `seconds`.
async fn receive(sqs: &Client, queue: &str, seconds: i32) -> Result<Option<Message>> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(seconds);
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
