//! What is larger than 1 MiB goes elsewhere, and the message says where: a claim check.
//!
//! Guarantee: the file is there before the message that names it, and removed after it: a crash
//! leaves a file too many. A message that comes twice may find it gone: then the work was done.
//!
//! Run: `cargo run --example sqs_large_message`

use std::{collections::HashMap, env, fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    types::QueueAttributeName as Attribute,
};
use tokio::time::{Instant, sleep};

const LIMITS: &str = "sqs-large-message-limits";
const SCANS: &str = "sqs-large-message-scans";
const LIMIT: usize = 1_048_576; // bytes, with the attributes

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let limits = create(&sqs, LIMITS, &[]).await?;
    for size in [LIMIT, LIMIT + 1] {
        let send = sqs.send_message().queue_url(&limits).message_body("x".repeat(size));
        match send.send().await {
            Ok(_) => println!("{size} bytes: accepted"),
            Err(error) => println!(
                "{size} bytes: {}\n  {}",
                error.code().unwrap_or("no answer"),
                error.message().unwrap_or_default()
            ),
        }
    }
    let queue = create(&sqs, SCANS, &[]).await?;

    // ANCHOR: claim
    let scan = vec![b'x'; 5_000_000];
    let place = store()?.join("scan-17"); // a bucket of S3, in production
    fs::write(&place, &scan).context("cannot store the scan")?;
    sqs.send_message().queue_url(&queue).message_body("scan-17").send().await?;
    println!("stored {} bytes, sent where they are", scan.len());

    let poll = sqs.receive_message().queue_url(&queue).wait_time_seconds(20).send().await?;
    let message = poll.messages().first().context("no message within 20 s")?;
    let name = message.body().context("no body")?;
    let read = fs::read(store()?.join(name)).context("the scan is not where the message says")?;
    println!("received {name:?}, read {} bytes", read.len());
    let receipt = message.receipt_handle().context("no receipt handle")?;
    sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await?;
    fs::remove_file(&place)?; // last: until the message is deleted, a repeat needs it
    // ANCHOR_END: claim
    fs::remove_dir_all(store()?)?;
    clean_up(&sqs, &aws).await
}

/// A folder of this program's own.
fn store() -> Result<PathBuf> {
    let folder = env::temp_dir().join(format!("sqs-large-message-{}", std::process::id()));
    fs::create_dir_all(&folder).context("cannot make a folder for the scans")?;
    Ok(folder)
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
    for name in [LIMITS, SCANS] {
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
