//! A message of 256 KiB, one byte more, and a topic that is told to take more.
//!
//! Guarantee: none. What the emulator answers about MaximumMessageSize says nothing about AWS, where a
//! topic with it takes up to 1 MiB.
//!
//! Run: `cargo run --example sns_message_size`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config, error::ProvideErrorMetadata};

const USUAL: &str = "sns-message-size-usual";
const LARGE: &str = "sns-message-size-large";
const KIB: usize = 1024;

#[tokio::main]
async fn main() -> Result<()> {
    // The SDK itself sets no limit on an answer.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sns = Sns::new(&aws);

    clean_up(&sns, &aws).await?; // left by a run that was cut off
    // ANCHOR: size
    let usual = sns.create_topic().name(USUAL).send().await?.topic_arn.context("no ARN")?;
    for size in [256 * KIB, 256 * KIB + 1] {
        let sent = sns.publish().topic_arn(&usual).message("x".repeat(size)).send().await;
        println!("{size} bytes: {}", told(sent));
    }
    let create = sns.create_topic().name(LARGE).attributes("MaximumMessageSize", "1048576");
    match create.send().await {
        Ok(created) => {
            let topic = created.topic_arn.context("no ARN")?;
            let large = sns.publish().topic_arn(topic).message("x".repeat(1024 * KIB)).send();
            println!("1048576 bytes, MaximumMessageSize set: {}", told(large.await));
        }
        Err(error) => println!("MaximumMessageSize: {}", told::<(), _>(Err(error))),
    }
    // ANCHOR_END: size
    clean_up(&sns, &aws).await
}

fn told<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(error) => error.message().unwrap_or("no message").to_owned(),
    }
}

/// Deletes the topics of this program, by their exact names. Its first call, so it also
/// finds out whether there is anything to talk to.
async fn clean_up(sns: &Sns, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    // Creating a topic that exists returns its ARN.
    let created = limited.create_topic().name(USUAL).send().await;
    let created = created.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no ARN")?;
    for name in [USUAL, LARGE] {
        sns.delete_topic().topic_arn(topic.replace(USUAL, name)).send().await?; // or there is none
    }
    Ok(())
}
