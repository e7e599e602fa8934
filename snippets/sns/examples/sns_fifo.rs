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
use aws_sdk_sqs::{Client as Sqs, types::QueueAttributeName as Attribute};
use serde_json::json;
use tokio::time::Instant;

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

/// Creates a queue, FIFO if its name says so, and lets the topic send to it.
async fn create_queue(sqs: &Sqs, name: &str, topic: &str) -> Result<(String, String)> {
    let mut create = sqs.create_queue().queue_name(name);
    if name.ends_with(".fifo") {
        create = create.attributes(Attribute::FifoQueue, "true");
    }
    let queue = create.send().await?.queue_url.context("no address")?;
    let asked = sqs.get_queue_attributes().queue_url(&queue).attribute_names(Attribute::QueueArn);
    let answer = asked.send().await?;
    let arn =
        answer.attributes().and_then(|all| all.get(&Attribute::QueueArn)).context("no ARN")?;
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]});
    let change = sqs.set_queue_attributes().queue_url(&queue);
    change.attributes(Attribute::Policy, policy.to_string()).send().await?;
    Ok((queue, arn.clone()))
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

/// Deletes topics and queues that carry this program's name. Its first call, so it also finds out
/// whether there is anything to talk to.
async fn clean_up(sns: &Sns, sqs: &Sqs, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    let listed = limited.list_topics().into_paginator().items().send();
    let listed = listed.collect::<Result<Vec<_>, _>>().await.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    for topic in listed.iter().filter_map(|topic| topic.topic_arn()) {
        if topic.rsplit(':').next().is_some_and(|name| name.starts_with("sns-fifo-")) {
            sns.delete_topic().topic_arn(topic).send().await?;
        }
    }
    let own = sqs.list_queues().queue_name_prefix("sns-fifo-").send().await?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
