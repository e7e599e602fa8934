//! Retries with a growing pause and jitter: what failed stays hidden for a time drawn by chance.
//!
//! Guarantee: at least once. The count is kept by SQS, so a worker that dies forgets nothing; the
//! pauses end with the queue's maximum of receives, if it has a redrive policy.
//!
//! Run: `cargo run --example sqs_backoff`

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

const QUEUE: &str = "sqs-backoff-orders";
const LONGEST: i32 = 900; // seconds; SQS allows 12 h from each receipt

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "30")]).await?;
    sqs.send_message().queue_url(&queue).message_body("order 17").send().await?;
    let mut hidden = 0;
    let mut since = Instant::now();
    // ANCHOR: backoff
    loop {
        let message = receive(&sqs, &queue).await?;
        let attempt = attempt(&message)?;
        let early = since.elapsed() < Duration::from_secs(hidden as u64);
        ensure!(!early, "received {:?} after it was hidden for {hidden} s", since.elapsed());
        let receipt = message.receipt_handle().context("no receipt handle")?;
        let Err(why) = bill(attempt) else {
            sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await?;
            println!("attempt {attempt}: billed");
            break;
        };
        hidden = pause(attempt);
        since = Instant::now();
        let hide = sqs.change_message_visibility().queue_url(&queue).receipt_handle(receipt);
        hide.visibility_timeout(hidden).send().await?;
        println!("attempt {attempt}: {why}; hidden for {hidden} s, of at most {}", most(attempt));
    }
    // ANCHOR_END: backoff
    clean_up(&sqs, &aws).await
}

// ANCHOR: pause
/// The longest pause after an attempt, from 1: it doubles.
fn most(attempt: u32) -> i32 {
    2_i32.saturating_pow(attempt).min(LONGEST)
}

/// Any pause from nothing to the longest: workers that failed together don't come back together.
fn pause(attempt: u32) -> i32 {
    fastrand::i32(0..=most(attempt))
}
// ANCHOR_END: pause

/// Works at the third attempt, as a busy service would.
fn bill(attempt: u32) -> Result<(), &'static str> {
    if attempt < 3 { Err("the card service is busy") } else { Ok(()) }
}

/// How often SQS has given the message out, this time included.
fn attempt(message: &Message) -> Result<u32> {
    let count = message.attributes().context("no attributes")?;
    let count = count.get(&SystemAttribute::ApproximateReceiveCount).context("no receive count")?;
    Ok(count.parse()?)
}

async fn receive(sqs: &Client, queue: &str) -> Result<Message> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20);
    let poll = poll.message_system_attribute_names(SystemAttribute::ApproximateReceiveCount);
    poll.send().await?.messages.unwrap_or_default().pop().context("no message within 20 s")
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
