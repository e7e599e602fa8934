//! A FIFO topic with a FIFO queue and a standard one: order, and what was published twice.
//!
//! Guarantee: a FIFO queue gets the events of a group in order, and one that is published twice within
//! five minutes once. A standard queue gets them too, without a promise about order.
//!
//! Run: `cargo run --example sns_fifo`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{Client as Sqs, error::SdkError, types::QueueAttributeName as Attribute};
use serde_json::json;
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-fifo-accounts.fifo";
const ORDERED: &str = "sns-fifo-ledger.fifo";
const STANDARD: &str = "sns-fifo-audit";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: fifo
    let topic = sns.create_topic().name(TOPIC).attributes("FifoTopic", "true");
    let topic = topic.send().await?.topic_arn.context("SNS gave no ARN")?;
    let mut queues = Vec::new();
    for name in [ORDERED, STANDARD] {
        let (queue, arn) = create_queue(&sqs, name, &topic).await?;
        let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
        subscribe.attributes("RawMessageDelivery", "true").send().await?;
        queues.push((name, queue));
    }
    for (event, id) in [
        ("opened", "event-1"),
        ("paid in 100", "event-2"),
        ("paid in 100", "event-2"), // the publisher's retry
        ("paid out 30", "event-3"),
    ] {
        let publish = sns.publish().topic_arn(&topic).message(event);
        publish.message_group_id("account-17").message_deduplication_id(id).send().await?;
    }
    println!("published: 4 times, of which one twice");
    // ANCHOR_END: fifo
    for (name, queue) in &queues {
        let mut got = take(&sqs, queue, 3).await?;
        if *name == STANDARD {
            got.sort(); // nothing promises an order
        }
        println!("{name}: {got:?}");
    }
    let standard = sns.publish().topic_arn(&topic).message("closed").send().await;
    if let Err(error) = standard {
        println!("without a group: {}", error.into_service_error());
    }
    clean_up(&sns, &sqs, &aws).await
}

/// Creates a queue, FIFO if its name says so, that lets the topic send from the start: SNS does
/// not repeat what a queue refuses. AWS refuses a name for 60 s after its deletion: waits that out. Returns its address and its ARN.
async fn create_queue(sqs: &Sqs, name: &str, topic: &str) -> Result<(String, String)> {
    let arn = topic.replace(":sns:", ":sqs:").replace(TOPIC, name);
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]});
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let create = sqs.create_queue().queue_name(name);
        let mut create = create.attributes(Attribute::Policy, policy.to_string());
        if name.ends_with(".fifo") {
            create = create.attributes(Attribute::FifoQueue, "true");
        }
        match create.send().await.map_err(SdkError::into_service_error) {
            Ok(created) => return Ok((created.queue_url.context("no address")?, arn)),
            Err(error) if error.is_queue_deleted_recently() && Instant::now() < deadline => {
                eprintln!("{name} was deleted less than 60 s ago; trying again in 5 s");
                sleep(Duration::from_secs(5)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot create {name}")),
        }
    }
}

/// Takes messages until `count` have come, within 60 s, and none more within 2 s.
async fn take(sqs: &Sqs, queue: &str, count: usize) -> Result<Vec<String>> {
    let (mut bodies, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    loop {
        let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(2);
        let received = poll.max_number_of_messages(10).send().await?.messages.unwrap_or_default();
        if received.is_empty() && (bodies.len() >= count || Instant::now() > deadline) {
            return Ok(bodies);
        }
        for message in received {
            let receipt = message.receipt_handle.context("no receipt handle")?;
            sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
            bodies.push(message.body.unwrap_or_default());
        }
    }
}

/// Deletes the topic and the queues of this program, by their exact names. Its first call, so it also
/// finds out whether there is anything to talk to.
async fn clean_up(sns: &Sns, sqs: &Sqs, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    // Creating a topic that exists returns its ARN.
    let created = limited.create_topic().name(TOPIC).attributes("FifoTopic", "true").send().await;
    let created = created.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no ARN")?;
    sns.delete_topic().topic_arn(topic).send().await?; // and its subscriptions
    for name in [ORDERED, STANDARD] {
        let found = sqs.get_queue_url().queue_name(name).send().await;
        match found.map_err(SdkError::into_service_error) {
            Ok(found) => {
                sqs.delete_queue().set_queue_url(found.queue_url).send().await?;
            }
            Err(error) if error.is_queue_does_not_exist() => {}
            Err(error) => return Err(error).with_context(|| format!("cannot find {name}")),
        }
    }
    Ok(())
}
