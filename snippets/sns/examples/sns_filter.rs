//! Filter policies as a truth table: which of five events passes which filter.
//!
//! Guarantee: a subscription gets what its policy lets through. On AWS a new policy takes up to 15
//! minutes to be followed everywhere; an emulator follows it at once.
//!
//! Run: `cargo run --example sns_filter`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config, types::MessageAttributeValue};
use aws_sdk_sqs::{Client as Sqs, error::SdkError, types::QueueAttributeName as Attribute};
use futures::future::try_join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-filter-orders";
// ANCHOR: filters
const FILTERS: [(&str, &str, &str); 10] = [
    ("no filter", "MessageAttributes", "{}"),
    ("exact", "MessageAttributes", r#"{"type": ["refund"]}"#),
    ("prefix", "MessageAttributes", r#"{"type": [{"prefix": "order_"}]}"#),
    ("suffix", "MessageAttributes", r#"{"type": [{"suffix": "_paid"}]}"#),
    ("anything but", "MessageAttributes", r#"{"type": [{"anything-but": ["refund"]}]}"#),
    ("number", "MessageAttributes", r#"{"amount": [{"numeric": [">=", 200, "<", 1000]}]}"#),
    ("exists", "MessageAttributes", r#"{"region": [{"exists": true}]}"#),
    ("and", "MessageAttributes", r#"{"type": ["refund"], "region": ["eu"]}"#),
    ("or", "MessageAttributes", r#"{"$or": [{"type": ["refund"]}, {"region": ["us"]}]}"#),
    ("body", "MessageBody", r#"{"order": {"amount": [{"numeric": [">", 100]}]}}"#),
];
// ANCHOR_END: filters
const EVENTS: [(&str, &str, u32); 5] = [
    ("order_placed", "eu", 20),
    ("order_placed", "us", 200),
    ("order_paid", "eu", 200),
    ("refund", "eu", 20),
    ("refund", "-", 2000), // without a region
];

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    let topic = sns.create_topic().name(TOPIC).send().await?.topic_arn.context("no ARN")?;
    let mut queues = Vec::new();
    for (name, scope, policy) in FILTERS {
        let (queue, arn) = create_queue(&sqs, &queue_name(name), &topic).await?;
        let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
        let subscribe = subscribe.attributes("RawMessageDelivery", "true");
        let subscribe = subscribe.attributes("FilterPolicyScope", scope);
        subscribe.attributes("FilterPolicy", policy).send().await?;
        queues.push(queue);
    }
    for event in EVENTS {
        publish(&sns, &topic, event).await?;
    }
    println!("{:14}{}", "", EVENTS.map(|(kind, ..)| format!("{kind:14}")).concat().trim_end());
    let details = EVENTS.map(|event| format!("{:14}", format!("{} {}", event.1, event.2)));
    println!("{:14}{}", "", details.concat().trim_end());
    // When the first queue has all five, the others have theirs, or will within 2 s.
    let mut got = vec![take(&sqs, &queues[0], EVENTS.len()).await?];
    got.extend(try_join_all(queues[1..].iter().map(|queue| take(&sqs, queue, 0))).await?);
    for ((name, ..), got) in FILTERS.iter().zip(got) {
        let row = EVENTS.map(|event| got.contains(&body(event)));
        let row = row.map(|passed| format!("{:14}", if passed { "yes" } else { "-" }));
        println!("{name:14}{}", row.concat().trim_end());
    }
    clean_up(&sns, &sqs, &aws).await
}

fn queue_name(filter: &str) -> String {
    format!("sns-filter-{}", filter.replace(' ', "-"))
}

fn body((kind, region, amount): (&str, &str, u32)) -> String {
    json!({"order": {"type": kind, "region": region, "amount": amount}}).to_string()
}

async fn publish(sns: &Sns, topic: &str, event: (&str, &str, u32)) -> Result<()> {
    let (kind, region, amount) = (event.0, event.1, event.2.to_string());
    let mut publish = sns.publish().topic_arn(topic).message(body(event));
    let all =
        [("type", "String", kind), ("region", "String", region), ("amount", "Number", &amount)];
    for (name, data_type, value) in all.into_iter().filter(|attribute| attribute.2 != "-") {
        let attribute = MessageAttributeValue::builder().data_type(data_type);
        publish = publish.message_attributes(name, attribute.string_value(value).build()?);
    }
    publish.send().await?;
    Ok(())
}

/// Creates a queue that lets the topic send. AWS refuses a name for 60 s after its deletion.
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
            Err(error) if error.is_queue_deleted_recently() && Instant::now() < deadline => {
                eprintln!("{name} was deleted less than 60 s ago; trying again in 5 s");
                sleep(Duration::from_secs(5)).await;
            }
            created => return Ok((created?.queue_url.context("no address")?, arn)),
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

/// Deletes the topic and the queues by their exact names. The first call, so it looks for SNS, too.
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
    for name in FILTERS.map(|(filter, ..)| queue_name(filter)) {
        let found = sqs.get_queue_url().queue_name(&name).send().await;
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
