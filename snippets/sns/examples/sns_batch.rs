//! Events in batches: one that is malformed takes the others with it, others fail for themselves.
//!
//! Guarantee: a batch is refused as a whole if an entry is malformed. If not, each entry is answered
//! for itself, and the call succeeds even if some of them failed.
//!
//! Run: `cargo run --example sns_batch`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config, types::PublishBatchRequestEntry as Entry};
use aws_sdk_sqs::{Client as Sqs, error::SdkError, types::QueueAttributeName as Attribute};
use serde_json::json;
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-batch-user-events.fifo";
const QUEUE: &str = "sns-batch-mailer";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let (sns, sqs) = (Sns::new(&aws), Sqs::new(&aws));

    clean_up(&sns, &sqs, &aws).await?; // left by a run that was cut off
    let topic = sns.create_topic().name(TOPIC).attributes("FifoTopic", "true");
    let topic = topic.send().await?.topic_arn.context("SNS gave no ARN")?;
    let (queue, arn) = create_queue(&sqs, QUEUE, &topic).await?;
    let subscribe = sns.subscribe().topic_arn(&topic).protocol("sqs").endpoint(arn);
    subscribe.attributes("RawMessageDelivery", "true").send().await?;

    // A group for each user: an event that is published again later overtakes nobody.
    let entry = |id: &str| {
        let entry = Entry::builder().id(id).message(format!("event {id}"));
        entry.message_group_id(format!("user-{id}"))
    };
    let without_id = vec![
        entry("1").message_deduplication_id("event-1").build()?,
        entry("2").build()?, // the topic wants a deduplication id
    ];
    if let Err(error) = publish(&sns, &topic, without_id).await {
        println!("two events, one without an id: {error}");
    }
    println!("in the queue: {:?}", take(&sqs, &queue, 0).await?);
    let complete =
        ["1", "2", "3"].map(|id| entry(id).message_deduplication_id(format!("event-{id}")).build());
    publish(&sns, &topic, complete.into_iter().collect::<Result<_, _>>()?).await?;
    let mut got = take(&sqs, &queue, 3).await?;
    got.sort(); // a standard queue promises no order
    println!("in the queue: {got:?}");
    clean_up(&sns, &sqs, &aws).await
}

// ANCHOR: batch
/// Publishes up to ten events, and again those that SNS could not take. Names those that are left.
async fn publish(sns: &Sns, topic: &str, mut entries: Vec<Entry>) -> Result<()> {
    let mut refused = Vec::new();
    for _ in 0..3 {
        let batch = sns.publish_batch().topic_arn(topic);
        let answer = batch.set_publish_batch_request_entries(Some(entries.clone())).send().await;
        let answer = answer.map_err(|error| error.into_service_error())?;
        println!("published {}, failed {}", answer.successful().len(), answer.failed().len());
        let (ours, theirs): (Vec<_>, Vec<_>) =
            answer.failed().iter().partition(|failed| failed.sender_fault());
        refused.extend(ours.iter().map(|failed| format!("{}: {}", failed.id(), failed.code())));
        entries.retain(|entry| theirs.iter().any(|failed| failed.id() == entry.id()));
        if entries.is_empty() {
            break;
        }
        sleep(Duration::from_secs(1)).await;
    }
    refused.extend(entries.iter().map(|entry| format!("{}: three attempts failed", entry.id())));
    ensure!(refused.is_empty(), "not published: {refused:?}");
    Ok(())
}
// ANCHOR_END: batch

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

/// Deletes the topic and the queue of this program, by their exact names. Its first call, so it also
/// finds out whether there is anything to talk to.
async fn clean_up(sns: &Sns, sqs: &Sqs, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    // Creating a topic that exists returns its ARN.
    let created = limited.create_topic().name(TOPIC).attributes("FifoTopic", "true").send().await;
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
