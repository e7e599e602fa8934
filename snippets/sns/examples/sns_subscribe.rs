//! Subscriptions of six kinds: which deliver at once, and which wait to be confirmed.
//!
//! Guarantee: an endpoint that nobody has confirmed gets nothing.
//!
//! Run: `cargo run --example sns_subscribe`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{Client as Sqs, error::SdkError, types::QueueAttributeName as Attribute};
use serde_json::json;
use tokio::time::{Instant, sleep};

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

/// Creates a queue that lets the topic send from the start: SNS does not repeat what a queue refuses.
/// AWS refuses a name for 60 s after its deletion: waits that out. Returns its address and its ARN.
async fn create_queue(sqs: &Sqs, name: &str, topic: &str) -> Result<(String, String)> {
    let arn = topic.replace(":sns:", ":sqs:").replace(TOPIC, name);
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]})
    .to_string();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let create = sqs.create_queue().queue_name(name).attributes(Attribute::Policy, &policy);
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

/// Deletes the topic and the queue of this program, by their exact names. Its first call, so it also
/// finds out whether there is anything to talk to.
async fn clean_up(sns: &Sns, sqs: &Sqs, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    // Creating a topic that exists returns its ARN.
    let created = limited.create_topic().name(TOPIC).send().await;
    let created = created.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no ARN")?;
    sns.delete_topic().topic_arn(topic).send().await?; // and its subscriptions
    for name in [QUEUE] {
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
