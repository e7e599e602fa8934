//! The same job as in the other systems: three services get each order, one retries, one sets aside an
//! order that never works, and a fourth joins late and wants the history.
//!
//! Guarantee: at least once for each service, in no order. Who joins late gets nothing old: SNS and
//! SQS keep no history. On AWS wait a minute between two runs.
//!
//! Run: `cargo run --example sns_order`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{
    Client as Sqs,
    types::{MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute},
};
use serde_json::json;
use tokio::time::Instant;

const TOPIC: &str = "sns-order-orders";
const DEAD: &str = "sns-order-dead";
const SERVICES: [&str; 3] = ["inventory", "billing", "shipping"];
const ATTEMPTS: u32 = 3;

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: job
    let topic = sns.create_topic().name(TOPIC).send().await?.topic_arn.context("no ARN")?;
    let created = sqs.create_queue().queue_name(DEAD).send().await?;
    let dead = created.queue_url.context("SQS gave no address")?;
    let mut queues = Vec::new();
    for service in SERVICES {
        queues.push((service, subscribe(&sns, &sqs, &topic, service).await?));
    }
    for order in ["order 17", "order 18", "order 19"] {
        sns.publish().topic_arn(&topic).message(order).send().await?;
    }
    println!("placed: order 17, order 18, order 19");
    for (service, queue) in &queues {
        println!("{service}: {}", serve(&sqs, service, queue, 3).await?.join(", "));
    }
    println!("set aside: {}", serve(&sqs, "dead", &dead, 1).await?.join(", "));
    let late = subscribe(&sns, &sqs, &topic, "fraud").await?;
    sns.publish().topic_arn(&topic).message("order 20").send().await?;
    let history = serve(&sqs, "fraud", &late, 1).await?;
    println!("fraud check, joining before order 20: {}", history.join(", "));
    // ANCHOR_END: job
    clean_up(&sns, &sqs, &aws).await
}

// ANCHOR: parts
/// Handles so many orders of a queue, each until it is done or given up, and what else comes within
/// 2 s; returns what was done.
async fn serve(sqs: &Sqs, service: &str, queue: &str, orders: usize) -> Result<Vec<String>> {
    let (mut done, mut given_up) = (Vec::new(), 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(2);
        let count = SystemAttribute::ApproximateReceiveCount;
        let received = poll.message_system_attribute_names(count.clone()).send().await?;
        let Some(message) = received.messages.unwrap_or_default().pop() else {
            if done.len() + given_up >= orders {
                done.sort(); // nothing promises an order
                return Ok(done);
            }
            ensure!(Instant::now() < deadline, "{service} has only {done:?} after 60 s");
            continue;
        };
        let order = message.body.context("no body")?;
        let attempt = message.attributes.and_then(|mut all| all.remove(&count));
        let attempt: u32 = attempt.context("no count")?.parse()?;
        let receipt = message.receipt_handle.context("no receipt handle")?;
        if let Err(why) = handle(service, &order, attempt) {
            println!("{service}: {order}, attempt {attempt}: {why}");
            given_up += usize::from(attempt == ATTEMPTS);
            let again = sqs.change_message_visibility().queue_url(queue).receipt_handle(receipt);
            again.visibility_timeout(0).send().await?; // later, in production
            continue;
        }
        sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
        done.push(order);
    }
}
// ANCHOR_END: parts

/// What a service does with an order: it fails as it would on a bad day. `attempt` counts from 1.
fn handle(service: &str, order: &str, attempt: u32) -> Result<(), &'static str> {
    match (service, order) {
        ("billing", "order 18") if attempt < 3 => Err("the card service is busy"),
        ("shipping", "order 19") => Err("there is no address"),
        _ => Ok(()),
    }
}

/// A queue of the service's own, which lets the topic send and sets aside what fails too often.
async fn subscribe(sns: &Sns, sqs: &Sqs, topic: &str, service: &str) -> Result<String> {
    let arn = |name: &str| topic.replace(":sns:", ":sqs:").replace(TOPIC, name);
    let name = format!("sns-order-{service}");
    let allow = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn(&name),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]});
    let redrive = json!({"deadLetterTargetArn": arn(DEAD), "maxReceiveCount": ATTEMPTS});
    let create = sqs.create_queue().queue_name(&name);
    let create = create.attributes(Attribute::Policy, allow.to_string());
    let create = create.attributes(Attribute::RedrivePolicy, redrive.to_string());
    let queue = create.send().await?.queue_url.context("SQS gave no address")?;
    let subscribe = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn(&name));
    subscribe.attributes("RawMessageDelivery", "true").send().await?;
    Ok(queue)
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
        if topic.rsplit(':').next().is_some_and(|name| name.starts_with("sns-order-")) {
            sns.delete_topic().topic_arn(topic).send().await?;
        }
    }
    let own = sqs.list_queues().queue_name_prefix("sns-order-").send().await?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
