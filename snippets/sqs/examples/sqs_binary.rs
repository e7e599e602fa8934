//! Characters that SQS refuses, and two ways for bytes that are no text.
//!
//! Guarantee: what is accepted arrives byte for byte.
//!
//! Run: `cargo run --example sqs_binary`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{MessageAttributeValue, QueueAttributeName as Attribute},
};
use tokio::time::{Instant, sleep};

const TEXTS: &str = "sqs-binary-texts";
const READINGS: &str = "sqs-binary-readings";

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let texts = create(&sqs, TEXTS, &[]).await?;
    for body in ["caf\u{e9} \u{1f980}", "a tab\t and a line\n", "a bell \u{7}", "a zero \u{0}"] {
        let sent = sqs.send_message().queue_url(&texts).message_body(body).send().await;
        match sent {
            Ok(_) => println!("{body:?}: accepted"),
            Err(error) => println!("{body:?}: {}", error.code().unwrap_or("no answer")),
        }
    }
    let queue = create(&sqs, READINGS, &[]).await?;
    // ANCHOR: binary
    let bytes = [0, 255, 7, 128];
    let reading = MessageAttributeValue::builder().data_type("Binary");
    let reading = reading.binary_value(Blob::new(bytes)).build()?;
    let send = sqs.send_message().queue_url(&queue).message_body("a reading"); // never empty
    send.message_attributes("reading", reading).send().await?;

    let poll = sqs.receive_message().queue_url(&queue).wait_time_seconds(20);
    let received = poll.message_attribute_names("reading").send().await?;
    let message = received.messages().first().context("no message within 20 s")?;
    let reading = message.message_attributes().and_then(|all| all.get("reading"));
    let reading = reading.and_then(MessageAttributeValue::binary_value).context("no bytes")?;
    // ANCHOR_END: binary
    ensure!(reading.as_ref() == bytes, "other bytes: {reading:?}");
    println!("as a binary attribute: {:?}", reading.as_ref());
    clean_up(&sqs, &aws).await
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
    for name in [TEXTS, READINGS] {
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
