//! The same event in two queues: in an envelope, and raw; both read into types.
//!
//! Guarantee: none; it is what a subscription's RawMessageDelivery says.
//!
//! Run: `cargo run --example sns_envelope`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{Client as Sqs, types::QueueAttributeName as Attribute};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

const TOPIC: &str = "sns-envelope-user-events";

// ANCHOR: types
/// What a queue gets without raw delivery. It has more fields: a signature, a time.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Envelope {
    #[serde(rename = "Type")]
    kind: String,
    topic_arn: String,
    message: String, // JSON in a string
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UserRegistered {
    user_id: String,
}
// ANCHOR_END: types

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    let topic = create_topic(&sns, TOPIC).await?;
    let mut queues = Vec::new();
    for (name, raw) in [("wrapped", "false"), ("raw", "true")] {
        let (queue, arn) = create_queue(&sqs, &format!("sns-envelope-{name}"), &topic).await?;
        let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
        subscribe.attributes("RawMessageDelivery", raw).send().await?;
        queues.push(queue);
    }
    let event = json!({"userId": "user-17"}).to_string();
    sns.publish().topic_arn(&topic).message(&event).send().await?;
    println!("published: {event}");
    // ANCHOR: decode
    let wrapped = take(&sqs, &queues[0], 1).await?.pop().context("nothing came")?;
    let envelope: Envelope = serde_json::from_str(&wrapped).context("no envelope of SNS")?;
    let event: UserRegistered = serde_json::from_str(&envelope.message).context("no event")?;
    let name = envelope.topic_arn.rsplit(':').next().unwrap_or_default();
    println!("wrapped: a {} of {name}", envelope.kind);
    println!("  Message: {}", envelope.message);
    println!("  parsed twice: {}", event.user_id);

    let raw = take(&sqs, &queues[1], 1).await?.pop().context("nothing came")?;
    let event: UserRegistered = serde_json::from_str(&raw).context("no event")?;
    println!("raw: {raw}");
    println!("  parsed once: {}", event.user_id);
    if let Err(error) = serde_json::from_str::<UserRegistered>(&wrapped) {
        let error = error.to_string(); // then where, which differs
        let what = error.split(" at line").next().unwrap_or_default();
        println!("the envelope read as an event: {what}");
    }
    // ANCHOR_END: decode
    clean_up(&sns, &sqs, &aws).await
}

async fn create_topic(sns: &Sns, name: &str) -> Result<String> {
    let created = sns.create_topic().name(name).send().await?; // or the one that exists
    created.topic_arn.context("SNS gave no ARN")
}

/// Creates a queue and lets the topic send to it. Returns its address and its ARN.
async fn create_queue(sqs: &Sqs, name: &str, topic: &str) -> Result<(String, String)> {
    let queue =
        sqs.create_queue().queue_name(name).send().await?.queue_url.context("no address")?;
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
        if topic.rsplit(':').next().is_some_and(|name| name.starts_with("sns-envelope-")) {
            sns.delete_topic().topic_arn(topic).send().await?;
        }
    }
    let own = sqs.list_queues().queue_name_prefix("sns-envelope-").send().await?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
