//! What fails too often goes to a dead-letter queue, and back when the cause is mended.
//!
//! Guarantee: a message that was received maxReceiveCount times and not deleted goes to the
//! dead-letter queue at its next receive. Both queues keep it until their retention ends.
//!
//! Run: `cargo run --example sqs_dead_letter`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
    },
};
use tokio::time::{Instant, sleep};

const ORDERS: &str = "sqs-dead-letter-orders";
const DEAD: &str = "sqs-dead-letter-dead";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    // ANCHOR: redrive
    let dead = create(&sqs, DEAD, &[(Attribute::MessageRetentionPeriod, "1209600")]).await?;
    let dead_arn = arn(&sqs, &dead).await?;
    let policy = format!(r#"{{"deadLetterTargetArn": "{dead_arn}", "maxReceiveCount": 2}}"#);
    let attributes = [(Attribute::RedrivePolicy, &*policy), (Attribute::VisibilityTimeout, "1")];
    let orders = create(&sqs, ORDERS, &attributes).await?;
    sqs.send_message().queue_url(&orders).message_body("order 17").send().await?;

    for attempt in 1..=2 {
        receive(&sqs, &orders, 20).await?.context("no order")?;
        println!("attempt {attempt}: failed, not deleted");
    }
    let third = receive(&sqs, &orders, 3).await?; // the receive that finds the count used up
    println!("third receive: {}", if third.is_some() { "the order" } else { "nothing" });
    let letter = receive(&sqs, &dead, 20).await?.context("no dead letter")?;
    let source = SystemAttribute::DeadLetterQueueSourceArn;
    let source = letter.attributes().and_then(|all| all.get(&source)).context("no source")?;
    println!("in {DEAD}: {}", letter.body().unwrap_or_default());
    println!("  it came from {}", source.rsplit(':').next().unwrap_or_default());
    let listed = sqs.list_dead_letter_source_queues().queue_url(&dead).send().await?;
    println!("  queues that send their dead letters here: {}", listed.queue_urls().len());

    // Mended: back to where they came from. Those that are hidden stay.
    let letter = letter.receipt_handle().context("no receipt handle")?;
    let visible = sqs.change_message_visibility().queue_url(&dead).receipt_handle(letter);
    visible.visibility_timeout(0).send().await?;
    sqs.start_message_move_task().source_arn(&dead_arn).send().await?;
    // ANCHOR_END: redrive
    moved(&sqs, &dead_arn).await?;
    let order = receive(&sqs, &orders, 20).await?.context("no order after the move")?;
    println!("moved back, received: {}", order.body().unwrap_or_default());
    clean_up(&sqs, &aws).await
}

/// Waits until the move has ended.
async fn moved(sqs: &Client, source: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let tasks = sqs.list_message_move_tasks().source_arn(source).send().await?;
        let task = tasks.results().first().context("no task")?;
        match task.status().unwrap_or_default() {
            "COMPLETED" => break,
            "RUNNING" => ensure!(Instant::now() < deadline, "still moving after 60 s"),
            other => anyhow::bail!("{other}: {}", task.failure_reason().unwrap_or_default()),
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Receives one message by long polling; none if none comes within `seconds`.
async fn receive(sqs: &Client, queue: &str, seconds: i32) -> Result<Option<Message>> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(seconds);
    let poll = poll.message_system_attribute_names(SystemAttribute::All);
    Ok(poll.send().await?.messages.unwrap_or_default().pop())
}

/// The name under which policies and SNS know a queue.
async fn arn(sqs: &Client, queue: &str) -> Result<String> {
    let asked = sqs.get_queue_attributes().queue_url(queue).attribute_names(Attribute::QueueArn);
    let answer = asked.send().await?;
    let arn = answer.attributes().and_then(|all| all.get(&Attribute::QueueArn));
    Ok(arn.context("SQS gave no ARN")?.clone())
}

/// Creates a queue. AWS refuses a name for 60 s after its deletion: waits that out.
async fn create(sqs: &Client, name: &str, attributes: &[(Attribute, &str)]) -> Result<String> {
    let attributes = attributes.iter().map(|(key, value)| (key.clone(), value.to_string()));
    let attributes: HashMap<_, _> = attributes.collect();
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let asked = sqs.create_queue().queue_name(name).set_attributes(Some(attributes.clone()));
        match asked.send().await.map_err(SdkError::into_service_error) {
            Ok(created) => return created.queue_url.context("SQS gave no address"),
            Err(error) if error.is_queue_deleted_recently() && Instant::now() < deadline => {
                eprintln!("{name} was deleted less than 60 s ago; trying again in 5 s");
                sleep(Duration::from_secs(5)).await;
            }
            Err(error) => return Err(error).with_context(|| format!("cannot create {name}")),
        }
    }
}

/// Deletes the queues of this program. Its first call, so it also finds out whether there is
/// anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    for name in [ORDERS, DEAD] {
        let limited = config::Builder::new().timeout_config(limit.clone());
        let found = sqs.get_queue_url().queue_name(name).customize().config_override(limited);
        match found.send().await {
            Ok(found) => {
                sqs.delete_queue().set_queue_url(found.queue_url).send().await?;
            }
            Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {
            }
            Err(error) => {
                let endpoint = aws.endpoint_url().unwrap_or("AWS");
                return Err(error).with_context(|| {
                    format!(
                        "cannot use SQS at {endpoint}; to start an emulator: \
                         docker compose up -d --wait, or cargo run --bin sandbox -- up"
                    )
                });
            }
        }
    }
    Ok(())
}
