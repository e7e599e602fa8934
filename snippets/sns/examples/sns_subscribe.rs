//! Subscriptions of six kinds: which deliver at once, and which wait to be confirmed.
//!
//! Guarantee: an endpoint that nobody has confirmed gets nothing.
//!
//! Run: `cargo run --example sns_subscribe`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{Client as Sqs, types::QueueAttributeName as Attribute};
use serde_json::json;

const TOPIC: &str = "sns-subscribe-user-events";
const QUEUE: &str = "sns-subscribe-mailer";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    let topic = create_topic(&sns, TOPIC).await?;
    let (_, queue) = create_queue(&sqs, QUEUE, &topic).await?;
    let function = queue.replace(":sqs:", ":lambda:").replace(QUEUE, &format!("function:{QUEUE}"));
    // ANCHOR: subscribe
    for (protocol, endpoint) in [
        ("sqs", queue.as_str()),
        ("lambda", function.as_str()),
        ("email", "ann@example.com"),
        ("https", "https://example.invalid/events"),
        ("sms", "+15555550100"),
        ("fax", "+15555550100"),
    ] {
        let subscribe = sns.subscribe().topic_arn(&topic).protocol(protocol).endpoint(endpoint);
        match subscribe.return_subscription_arn(true).send().await {
            Ok(subscribed) => {
                let arn = subscribed.subscription_arn.context("SNS gave no ARN")?;
                let asked = sns.get_subscription_attributes().subscription_arn(arn).send().await?;
                let pending = asked.attributes().and_then(|all| all.get("PendingConfirmation"));
                println!("{protocol}: pending: {}", pending.context("not told")?);
            }
            Err(error) => {
                let error = error.into_service_error();
                println!("{protocol}: {}", error.meta().message().unwrap_or_default());
            }
        }
    }
    // ANCHOR_END: subscribe
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
        if topic.rsplit(':').next().is_some_and(|name| name.starts_with("sns-subscribe-")) {
            sns.delete_topic().topic_arn(topic).send().await?;
        }
    }
    let own = sqs.list_queues().queue_name_prefix("sns-subscribe-").send().await?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
