//! An endpoint that can't be reached: the message goes to the subscription's dead-letter queue.
//!
//! Guarantee: what could not be delivered is in the dead-letter queue; without one it is gone.
//! Holds for each subscription that names one.
//!
//! Run: `cargo run --example sns_dead_letter`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{Client as Sqs, types::QueueAttributeName as Attribute};
use serde_json::json;
use tokio::time::Instant;

const TOPIC: &str = "sns-dead-letter-order-placed";
const BILLING: &str = "sns-dead-letter-billing";
const DEAD: &str = "sns-dead-letter-dead";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    let topic = create_topic(&sns, TOPIC).await?;
    let (billing, billing_arn) = create_queue(&sqs, BILLING, &topic).await?;
    let (dead, dead_arn) = create_queue(&sqs, DEAD, &topic).await?;
    // ANCHOR: redrive
    let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(&billing_arn);
    let redrive = json!({"deadLetterTargetArn": dead_arn}).to_string();
    subscribe.attributes("RedrivePolicy", redrive).send().await?;

    sqs.delete_queue().queue_url(&billing).send().await?; // by mistake
    sns.publish().topic_arn(&topic).message("order 17").send().await?;
    println!("published to a topic whose subscriber's queue is gone: accepted");
    let letters = take(&sqs, &dead, 1).await?;
    ensure!(letters.len() == 1, "{} dead letters", letters.len());
    let envelope: serde_json::Value = serde_json::from_str(&letters[0])?;
    println!("in {DEAD}: {}", envelope["Message"]);
    // ANCHOR_END: redrive
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
        if topic.rsplit(':').next().is_some_and(|name| name.starts_with("sns-dead-letter-")) {
            sns.delete_topic().topic_arn(topic).send().await?;
        }
    }
    let own = sqs.list_queues().queue_name_prefix("sns-dead-letter-").send().await?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
