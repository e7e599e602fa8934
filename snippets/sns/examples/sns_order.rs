//! The same job as in the other systems: three services get each order, one retries, one sets aside an
//! order that never works, and a fourth joins late and wants the history.
//!
//! Guarantee: at least once for each service, in no order. Who joins late gets nothing old: SNS and
//! SQS keep no history.
//!
//! Run: `cargo run --example sns_order`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use aws_sdk_sqs::{
    Client as Sqs,
    error::SdkError,
    types::{MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute},
};
use serde_json::json;
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-order-orders";
const DEAD: &str = "sns-order-dead";
const SERVICES: [&str; 3] = ["sns-order-inventory", "sns-order-billing", "sns-order-shipping"];
const LATE: &str = "sns-order-fraud";
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
    let dead = create(&sqs, DEAD, &HashMap::new()).await?;
    let mut queues = Vec::new();
    for name in SERVICES {
        let queue = subscribe(&sns, &sqs, &topic, name).await?;
        queues.push((name.trim_start_matches("sns-order-"), queue));
    }
    for order in ["order 17", "order 18", "order 19"] {
        sns.publish().topic_arn(&topic).message(order).send().await?;
    }
    println!("placed: order 17, order 18, order 19");
    for (service, queue) in &queues {
        println!("{service}: {}", serve(&sqs, service, queue, 3).await?.join(", "));
    }
    println!("set aside: {}", serve(&sqs, "dead", &dead, 1).await?.join(", "));
    let late = subscribe(&sns, &sqs, &topic, LATE).await?;
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
async fn subscribe(sns: &Sns, sqs: &Sqs, topic: &str, name: &str) -> Result<String> {
    let arn = |name: &str| topic.replace(":sns:", ":sqs:").replace(TOPIC, name);
    let allow = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage", "Resource": arn(name),
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]});
    let redrive = json!({"deadLetterTargetArn": arn(DEAD), "maxReceiveCount": ATTEMPTS});
    let policies = [(Attribute::Policy, allow), (Attribute::RedrivePolicy, redrive)];
    let policies = policies.map(|(name, policy)| (name, policy.to_string()));
    let queue = create(sqs, name, &HashMap::from(policies)).await?;
    let subscribe = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn(name));
    subscribe.attributes("RawMessageDelivery", "true").send().await?;
    Ok(queue)
}

/// Creates a queue. AWS refuses a name for 60 s after its deletion: waits that out.
async fn create(sqs: &Sqs, name: &str, set: &HashMap<Attribute, String>) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let create = sqs.create_queue().queue_name(name).set_attributes(Some(set.clone()));
        match create.send().await.map_err(SdkError::into_service_error) {
            Err(e) if e.is_queue_deleted_recently() && Instant::now() < deadline => {
                sleep(Duration::from_secs(5)).await;
            }
            created => return created?.queue_url.context("SQS gave no address"),
        }
    }
}

/// Deletes the topic and the queues of this program, by their exact names. Its first call, so it also
/// finds out whether there is anything to talk to.
async fn clean_up(sns: &Sns, sqs: &Sqs, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    let created = limited.create_topic().name(TOPIC).send().await; // or the ARN of the one there
    let created = created.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no ARN")?;
    sns.delete_topic().topic_arn(topic).send().await?; // and its subscriptions
    for name in SERVICES.into_iter().chain([LATE, DEAD]) {
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
