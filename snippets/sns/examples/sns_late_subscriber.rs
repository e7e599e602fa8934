//! Who subscribes later gets nothing of what was published before.
//!
//! Guarantee: a subscription gets what is published after it was made.
//!
//! Run: `cargo run --example sns_late_subscriber`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{Client as Sqs, error::SdkError, types::QueueAttributeName as Attribute};
use serde_json::json;
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-late-subscriber-order-placed";
const EARLY: &str = "sns-late-subscriber-early";
const LATE: &str = "sns-late-subscriber-late";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    let topic = create_topic(&sns, TOPIC).await?;
    // ANCHOR: late
    let early = subscribe(&sns, &sqs, &topic, EARLY).await?;
    sns.publish().topic_arn(&topic).message("order 1").send().await?;
    let late = subscribe(&sns, &sqs, &topic, LATE).await?;
    sns.publish().topic_arn(&topic).message("order 2").send().await?;
    let mut got = take(&sqs, &early, 2).await?;
    got.sort(); // a standard topic promises no order
    println!("early: {got:?}");
    println!("late: {:?}", take(&sqs, &late, 1).await?);
    // ANCHOR_END: late
    clean_up(&sns, &sqs, &aws).await
}

async fn subscribe(sns: &Sns, sqs: &Sqs, topic: &str, name: &str) -> Result<String> {
    let (queue, arn) = create_queue(sqs, name, topic).await?;
    let subscribe = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
    subscribe.attributes("RawMessageDelivery", "true").send().await?;
    Ok(queue)
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
    for name in [EARLY, LATE] {
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
