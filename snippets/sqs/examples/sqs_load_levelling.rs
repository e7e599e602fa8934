//! A burst of a thousand orders, a consumer that does eighty at a time: the queue takes up the rest.
//!
//! Guarantee: no order is lost by the burst; each waits until its turn, up to the retention period.
//!
//! Run: `cargo run --example sqs_load_levelling`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{
        DeleteMessageBatchRequestEntry as Deletion, QueueAttributeName as Attribute,
        SendMessageBatchRequestEntry as Entry,
    },
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-load-levelling-orders";
const BURST: [usize; 6] = [20, 20, 200, 500, 240, 20]; // orders that come in at each tick
const AT_ONCE: usize = 80; // orders that the consumer does at each tick

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    // ANCHOR: tick
    let (mut sent, mut done) = (0, 0);
    println!("tick  sent  done  in the queue");
    for tick in 0.. {
        let orders = BURST.get(tick).copied().unwrap_or(0);
        send(&sqs, &queue, orders).await?;
        sent += orders;
        done += consume(&sqs, &queue, AT_ONCE.min(sent - done)).await?;
        let waiting = number(&sqs, &queue, Attribute::ApproximateNumberOfMessages).await?;
        let bar = "#".repeat(waiting / 20);
        println!("{}", format!("{tick:4}  {sent:4}  {done:4}  {waiting:4} {bar}").trim_end());
        if done == BURST.iter().sum::<usize>() {
            break;
        }
    }
    // ANCHOR_END: tick
    println!("all done: {done}");
    clean_up(&sqs, &aws).await
}

async fn send(sqs: &Client, queue: &str, orders: usize) -> Result<()> {
    for first in (0..orders).step_by(10) {
        let entries = (first..orders.min(first + 10)).map(|number| {
            Ok(Entry::builder().id(number.to_string()).message_body("an order").build()?)
        });
        let entries: Vec<Entry> = entries.collect::<Result<_>>()?;
        let batch = sqs.send_message_batch().queue_url(queue).set_entries(Some(entries));
        let answer = batch.send().await?;
        ensure!(answer.failed().is_empty(), "failed: {:?}", answer.failed());
    }
    Ok(())
}

/// Receives and deletes so many orders.
async fn consume(sqs: &Client, queue: &str, orders: usize) -> Result<usize> {
    let mut done = 0;
    while done < orders {
        let most = i32::try_from((orders - done).min(10))?;
        let poll = sqs.receive_message().queue_url(queue).max_number_of_messages(most);
        let received = poll.wait_time_seconds(20).send().await?.messages.unwrap_or_default();
        ensure!(!received.is_empty(), "no order within 20 s");
        done += received.len();
        let deletions = received.into_iter().enumerate().map(|(index, order)| {
            let deletion = Deletion::builder().id(index.to_string());
            Ok(deletion.set_receipt_handle(order.receipt_handle).build()?)
        });
        let deletions: Vec<Deletion> = deletions.collect::<Result<_>>()?;
        let batch = sqs.delete_message_batch().queue_url(queue).set_entries(Some(deletions));
        let answer = batch.send().await?;
        ensure!(answer.failed().is_empty(), "failed: {:?}", answer.failed());
    }
    Ok(done)
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
