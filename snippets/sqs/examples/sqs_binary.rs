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

const QUEUE: &str = "sqs-binary-readings";

#[tokio::main]
async fn main() -> Result<()> {
    // Above the 20 s of a long poll. Without it a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    for body in ["caf\u{e9} \u{1f980}", "a tab\t and a line\n", "a bell \u{7}", "a zero \u{0}"] {
        let sent = sqs.send_message().queue_url(&queue).message_body(body).send().await;
        match sent {
            Ok(_) => println!("{body:?}: accepted"),
            Err(error) => println!("{body:?}: {}", error.code().unwrap_or("no answer")),
        }
    }
    sqs.purge_queue().queue_url(&queue).send().await?;
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

/// Deletes the queues that carry this program's name. Its first call, so it also finds out whether
/// there is anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::new().timeout_config(limit);
    let own = sqs.list_queues().queue_name_prefix("sqs-binary-").customize();
    let own = own.config_override(limited).send().await.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SQS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    for queue in own.queue_urls() {
        sqs.delete_queue().queue_url(queue).send().await?;
    }
    Ok(())
}
