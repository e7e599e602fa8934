//! One publish to an SNS topic puts a copy into each of three SQS queues.
//!
//! Guarantee: each queue gets the message at least once; SNS tries for 23 days if SQS is not
//! available. Holds for queues that were subscribed before the publish and whose policy lets this
//! topic send: a refusal is not tried again. An emulator does not enforce the policy; AWS does.
//!
//! Run: `cargo run --example sns_fanout`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config, types::MessageAttributeValue};
use aws_sdk_sqs::{Client as Sqs, error::SdkError, types::QueueAttributeName};
use serde_json::json;
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-fanout-order-placed";
const QUEUES: [&str; 3] = ["sns-fanout-inventory", "sns-fanout-shipping", "sns-fanout-billing"];

#[tokio::main]
async fn main() -> Result<()> {
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    // The SDK limits connecting, not answering: a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::from(&aws).timeout_config(limit).build();
    // Longer than a long poll, which is 20 s.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let patient = aws_sdk_sqs::config::Builder::from(&aws).timeout_config(limit).build();
    let (sns, sqs) = (Sns::from_conf(limited), Sqs::from_conf(patient));

    // Creating a topic that exists returns it.
    let created = sns.create_topic().name(TOPIC).send().await;
    let created = created.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no topic ARN")?;

    delete_queues(&sqs).await?; // left by a run that was cut off
    let mut queues = Vec::new();
    for name in QUEUES {
        let queue = create_queue(&sqs, name, &topic).await?;
        subscribe(&sns, &topic, name).await?;
        println!("subscribed: {name}");
        queues.push((name, queue));
    }
    publish(&sns, &topic).await?;
    for (name, queue) in &queues {
        println!("{name} got: {}", receive(&sqs, queue).await?);
    }
    sns.delete_topic().topic_arn(topic).send().await?; // and its subscriptions
    delete_queues(&sqs).await
}

// ANCHOR: steps
/// Creates a queue that lets the topic send from the start: SNS does not repeat what a queue refuses.
/// AWS refuses a name for 60 s after its deletion: waits that out.
async fn create_queue(sqs: &Sqs, name: &str, topic: &str) -> Result<String> {
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn(topic, name),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]});
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let create = sqs.create_queue().queue_name(name);
        let create = create.attributes(QueueAttributeName::Policy, policy.to_string());
        match create.send().await.map_err(SdkError::into_service_error) {
            Ok(created) => return created.queue_url.context("SQS gave no address"),
            Err(error) if error.is_queue_deleted_recently() && Instant::now() < deadline => {
                eprintln!("{name} was deleted less than 60 s ago; trying again in 5 s");
                sleep(Duration::from_secs(5)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot create {name}")),
        }
    }
}

/// Subscribes the queue to the topic.
async fn subscribe(sns: &Sns, topic: &str, name: &str) -> Result<()> {
    let subscription = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn(topic, name));
    // The body as published, without a JSON envelope.
    subscription.attributes("RawMessageDelivery", "true").send().await?;
    Ok(())
}

/// The ARN of a queue in the topic's account and region.
fn arn(topic: &str, queue: &str) -> String {
    topic.replace(":sns:", ":sqs:").replace(TOPIC, queue)
}

/// Publishes once. The topic makes the copies.
async fn publish(sns: &Sns, topic: &str) -> Result<()> {
    let order_placed = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("ORDER_PLACED")
        .build()?;
    let order = sns.publish().topic_arn(topic).message(r#"{"orderId":17}"#);
    let order = order.message_attributes("event_type", order_placed);
    order.send().await?;
    println!("published once");
    Ok(())
}
// ANCHOR_END: steps

/// Takes one message from the queue, by long polling, and deletes it.
async fn receive(sqs: &Sqs, queue: &str) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20);
        let received = poll.send().await?;
        if let Some(message) = received.messages.unwrap_or_default().pop() {
            let handle = message.receipt_handle.context("no receipt handle")?;
            let deletion = sqs.delete_message().queue_url(queue);
            deletion.receipt_handle(handle).send().await?;
            return message.body.context("no body");
        }
        ensure!(Instant::now() < deadline, "nothing in {queue} within 60 s");
    }
}

/// Deletes those of the queues that exist.
async fn delete_queues(sqs: &Sqs) -> Result<()> {
    for name in QUEUES {
        match sqs.get_queue_url().queue_name(name).send().await {
            Ok(found) => {
                let queue = found.queue_url.context("SQS gave no address")?;
                sqs.delete_queue().queue_url(queue).send().await?;
            }
            Err(error) => {
                let error = error.into_service_error();
                if !error.is_queue_does_not_exist() {
                    return Err(error).with_context(|| format!("cannot find {name}"));
                }
            }
        }
    }
    Ok(())
}
