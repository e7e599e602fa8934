//! The errors of SNS, by code and message, each provoked.
//!
//! Guarantee: none. The codes are those of AWS; the emulator's messages may differ.
//!
//! Run: `cargo run --example sns_errors`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{
    Client as Sns, config,
    error::{ProvideErrorMetadata, SdkError},
    types::MessageAttributeValue,
};

const TOPIC: &str = "sns-errors-orders";
const FIFO: &str = "sns-errors-orders.fifo";

#[tokio::main]
async fn main() -> Result<()> {
    // The SDK itself sets no limit on an answer.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sns = Sns::new(&aws);

    clean_up(&sns, &aws).await?; // left by a run that was cut off
    let topic = sns.create_topic().name(TOPIC).send().await?.topic_arn.context("no ARN")?;
    let fifo = sns.create_topic().name(FIFO).attributes("FifoTopic", "true").send().await?;
    let fifo = fifo.topic_arn.context("no ARN")?;
    // ANCHOR: errors
    let gone = topic.replace("orders", "gone");
    let publish = || sns.publish().topic_arn(&topic).message("order 17");
    report("publish to a topic that does not exist", publish().topic_arn(gone).send().await);
    let region = topic.split(':').nth(3).context("no region")?;
    let abroad = topic.replace(region, "mars-north-1");
    report("publish to a topic of another region", publish().topic_arn(abroad).send().await);
    report("publish an empty message", publish().message("").send().await);
    report("publish a subject of 101 characters", publish().subject("x".repeat(101)).send().await);
    let untyped = MessageAttributeValue::builder().data_type("Text").string_value("x").build()?;
    report(
        "publish an attribute of type Text",
        publish().message_attributes("a", untyped).send().await,
    );

    let subscribe = || sns.subscribe().topic_arn(&topic);
    let queue = topic.replace(":sns:", ":sqs:");
    report(
        "subscribe a queue by its address",
        subscribe().protocol("sqs").endpoint("https://sqs/q").send().await,
    );
    report("subscribe without an endpoint", subscribe().protocol("sqs").send().await);
    report(
        "subscribe with an unknown protocol",
        subscribe().protocol("fax").endpoint("1").send().await,
    );
    let filter = subscribe().protocol("sqs").endpoint(&queue);
    report(
        "subscribe with a filter that is no JSON",
        filter.attributes("FilterPolicy", "{").send().await,
    );

    let publish = || sns.publish().topic_arn(&fifo).message("order 17");
    report("FIFO without a group", publish().send().await);
    report("FIFO without an id", publish().message_group_id("orders").send().await);
    let email = sns.subscribe().topic_arn(&fifo).protocol("email").endpoint("ann@example.com");
    report("FIFO topic to an email address", email.send().await);
    let named = sns.create_topic().name(TOPIC).attributes("FifoTopic", "true");
    report("create a FIFO topic without .fifo", named.send().await);
    // ANCHOR_END: errors
    clean_up(&sns, &aws).await
}

/// Prints the code, by which programs decide, and the message, which people read.
fn report<T, E: ProvideErrorMetadata>(what: &str, result: Result<T, SdkError<E>>) {
    match result {
        Ok(_) => println!("{what}: accepted"),
        Err(error) => println!(
            "{what}: {}\n  {}",
            error.code().unwrap_or("no code"),
            error.message().unwrap_or("no message")
        ),
    }
}

/// Deletes the topics of this program, by their exact names. Its first call, so it also
/// finds out whether there is anything to talk to.
async fn clean_up(sns: &Sns, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = Sns::from_conf(config::Builder::from(aws).timeout_config(limit).build());
    // Creating a topic that exists returns its ARN.
    let created = limited.create_topic().name(TOPIC).send().await;
    let created = created.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SNS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no ARN")?;
    for name in [TOPIC, FIFO] {
        sns.delete_topic().topic_arn(topic.replace(TOPIC, name)).send().await?; // or there is none
    }
    Ok(())
}
