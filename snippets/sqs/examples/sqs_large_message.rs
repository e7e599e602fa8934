//! What is larger than 1 MiB goes elsewhere, and the message says where: a claim check.
//!
//! Guarantee: the file is there before the message that names it. It is removed after the message,
//! so a crash leaves a file too many and never one too few.
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

const QUEUE: &str = "sqs-large-message-scans";
const LIMIT: usize = 1_048_576; // bytes, with the attributes

#[tokio::main]
async fn main() -> Result<()> {
    // Above the 20 s of a long poll. Without it a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[]).await?;
    for size in [LIMIT, LIMIT + 1] {
        let send = sqs.send_message().queue_url(&queue).message_body("x".repeat(size));
        match send.send().await {
            Ok(_) => println!("{size} bytes: accepted"),
            Err(error) => println!("{size} bytes: {}", error.code().unwrap_or("no answer")),
        }
    }
    sqs.purge_queue().queue_url(&queue).send().await?;

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
    fs::remove_file(&place)?; // last: a message that comes twice must find it
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

/// Deletes the queues that carry this program's name. Its first call, so it also finds out whether
/// there is anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::new().timeout_config(limit);
    let own = sqs.list_queues().queue_name_prefix("sqs-large-message-").customize();
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
