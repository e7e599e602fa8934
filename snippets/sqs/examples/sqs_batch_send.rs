//! A batch of which a part is refused, and what to do with that part.
//!
//! Guarantee: each entry is answered for itself: what is not among the failed ones is in the queue.
//! The call as a whole succeeds all the same.
//!
//! Run: `cargo run --example sqs_batch_send`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{DisplayErrorContext, SdkError},
    types::{QueueAttributeName as Attribute, SendMessageBatchRequestEntry as Entry},
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-batch-send-orders";
const ATTEMPTS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    let orders = ["order 1", "order 2", "order\u{0}3", "order 4"]; // SQS takes no NUL
    let refused = send(&sqs, &queue, &orders).await?;
    for (order, why) in refused {
        println!("not sent: {order:?}: {why}");
    }
    let visible = number(&sqs, &queue, Attribute::ApproximateNumberOfMessages).await?;
    println!("in the queue: {visible} of {}", orders.len());
    clean_up(&sqs, &aws).await
}

// ANCHOR: batch
/// Sends up to ten messages in one request, and what failed by a fault of SQS again. Gives back what
/// was not sent, or perhaps was, with the reason.
async fn send(sqs: &Client, queue: &str, bodies: &[&str]) -> Result<Vec<(String, String)>> {
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    let mut refused = Vec::new();
    for attempt in 1..=ATTEMPTS {
        let entries = left.iter().map(|index| {
            let entry = Entry::builder().id(index.to_string()).message_body(bodies[*index]);
            Ok(entry.build()?)
        });
        let entries: Vec<Entry> = entries.collect::<Result<_>>()?;
        let batch = sqs.send_message_batch().queue_url(queue).set_entries(Some(entries));
        let answer = match batch.send().await {
            Ok(answer) => answer, // even if every entry failed
            Err(error) => {
                // Refused by SQS: none was sent. Otherwise the answer may have been lost.
                let sent = if error.as_service_error().is_some() { "no" } else { "perhaps" };
                let why = format!("sent: {sent}: {}", DisplayErrorContext(&error));
                refused.extend(left.iter().map(|index| (bodies[*index].to_owned(), why.clone())));
                break;
            }
        };
        println!("sent {}, failed {}", answer.successful().len(), answer.failed().len());
        left.clear();
        for failed in answer.failed() {
            let index: usize = failed.id().parse()?;
            // A fault of the sender fails every time. The emulator does not tell it as AWS does.
            if failed.sender_fault() || attempt == ATTEMPTS {
                refused.push((bodies[index].to_owned(), failed.code().to_owned()));
            } else {
                left.push(index);
            }
        }
        if left.is_empty() {
            break;
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(refused)
}
// ANCHOR_END: batch

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
