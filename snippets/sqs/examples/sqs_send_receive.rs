//! A message is sent, received by long polling, and deleted once it was handled.
//!
//! Guarantee: at least once. A message that is received but not deleted comes back after the
//! visibility timeout; a standard queue may also deliver one twice. Holds until the retention
//! period ends, 4 days by default.
//!
//! Run: `cargo run --example sqs_send_receive`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    operation::get_queue_url::GetQueueUrlError,
    types::{MessageAttributeValue, MessageSystemAttributeName},
};
use tokio::time::{Instant, sleep};

const QUEUE: &str = "sqs-send-receive-orders";
const ORDER: &str = concat!(
    r#"{"orderId":"order-17","customerId":"customer-3","#,
    r#""items":["keyboard"],"timestamp":"2026-11-25T09:00:00Z"}"#
);

#[tokio::main]
async fn main() -> Result<()> {
    // The SDK sets no limit on an answer: one that never comes would hold a receive for ever. An
    // attempt must have time for a long poll, which is 20 s.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    remove_old_queue(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create_queue(&sqs).await?;
    send(&sqs, &queue).await?;
    receive_and_delete(&sqs, &queue).await?;
    sqs.delete_queue().queue_url(&queue).send().await?;
    Ok(())
}

// ANCHOR: steps
/// Sends the order with a type that a reader can see without parsing the body.
async fn send(sqs: &Client, queue: &str) -> Result<()> {
    let order_created = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("ORDER_CREATED")
        .build()?;
    sqs.send_message()
        .queue_url(queue)
        .message_body(ORDER)
        .message_attributes("MessageType", order_created)
        .send()
        .await?;
    println!("sent: {ORDER}");
    Ok(())
}

/// Polls until the order is there, handles it, and only then deletes it.
async fn receive_and_delete(sqs: &Client, queue: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let message = loop {
        let received = sqs
            .receive_message()
            .queue_url(queue)
            .wait_time_seconds(20) // long polling: the answer waits for a message
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await?;
        if let Some(message) = received.messages.unwrap_or_default().pop() {
            break message;
        }
        ensure!(Instant::now() < deadline, "no message within 60 s");
    };

    println!("received: {}", message.body().unwrap_or_default());
    for (name, value) in message.message_attributes().into_iter().flatten() {
        println!("  {name} = {}", value.string_value().unwrap_or_default());
    }
    let count = MessageSystemAttributeName::ApproximateReceiveCount;
    let counted = message.attributes().and_then(|system| system.get(&count));
    println!("  {count} = {}", counted.context("no receive count")?);

    let receipt = message.receipt_handle().context("no receipt handle")?;
    sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
    println!("deleted");
    Ok(())
}
// ANCHOR_END: steps

/// Deletes the queue if it exists. The program's first call, so it also finds out whether there
/// is anything to talk to.
async fn remove_old_queue(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let question = sqs.get_queue_url().queue_name(QUEUE).customize();
    let limited = config::Builder::new().timeout_config(limit);
    let queue = match question.config_override(limited).send().await {
        Ok(found) => found.queue_url.context("SQS gave no address")?,
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => {
            let endpoint = aws.endpoint_url().unwrap_or("AWS");
            return Err(error).with_context(|| {
                format!(
                    "cannot use SQS at {endpoint}; to start an emulator: \
                     docker compose up -d --wait, or cargo run --bin sandbox -- up"
                )
            });
        }
    };
    sqs.delete_queue().queue_url(queue).send().await?;
    Ok(())
}

fn is_absent(error: &SdkError<GetQueueUrlError>) -> bool {
    error.as_service_error().is_some_and(GetQueueUrlError::is_queue_does_not_exist)
}

/// Creates the queue. AWS refuses a name for 60 s after its deletion: waits that out.
async fn create_queue(sqs: &Client) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let error = match sqs.create_queue().queue_name(QUEUE).send().await {
            Ok(created) => return created.queue_url.context("SQS gave no address"),
            Err(error) => error.into_service_error(),
        };
        if !error.is_queue_deleted_recently() || Instant::now() > deadline {
            return Err(error).with_context(|| format!("cannot create {QUEUE}"));
        }
        eprintln!("{QUEUE} was deleted less than 60 s ago; trying again in 5 s");
        sleep(Duration::from_secs(5)).await;
    }
}
