//! A topic is created, listed, and gets an event with attributes that readers can filter by.
//!
//! Guarantee: the answer to a publish means that SNS has stored the message, not that anyone got it.
//!
//! Run: `cargo run --example sns_publish`

use std::time::Duration;

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config, types::MessageAttributeValue};
use serde_json::json;

const TOPIC: &str = "sns-publish-user-events";

#[tokio::main]
async fn main() -> Result<()> {
    // The SDK itself sets no limit on an answer.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sns = Sns::new(&aws);

    clean_up(&sns, &aws).await?; // left by a run that was cut off
    // ANCHOR: publish
    let created = sns.create_topic().name(TOPIC).send().await?;
    let topic = created.topic_arn.context("SNS gave no ARN")?;
    println!("created: {}", topic.rsplit(':').next().unwrap_or_default());
    let again = sns.create_topic().name(TOPIC).send().await?;
    println!("created again: the same topic: {}", again.topic_arn() == Some(topic.as_str()));

    let listed = sns.list_topics().into_paginator().items().send(); // 100 at a time
    let listed: Vec<_> = listed.collect::<Result<_, _>>().await?;
    let own = listed.iter().filter(|other| other.topic_arn() == Some(topic.as_str()));
    println!("listed: {} time", own.count());

    let event = json!({"userId": "user-17", "email": "ann@example.com"});
    let publish = sns.publish().topic_arn(&topic).message(event.to_string());
    let publish = publish.message_attributes("event_type", text("USER_REGISTERED")?);
    let published = publish.message_attributes("priority", text("high")?).send().await?;
    println!("published, with an id: {}", published.message_id().is_some());
    // ANCHOR_END: publish
    clean_up(&sns, &aws).await
}

fn text(value: &str) -> Result<MessageAttributeValue> {
    let attribute = MessageAttributeValue::builder().data_type("String");
    Ok(attribute.string_value(value).build()?)
}

/// Deletes the topic of this program, by their exact names. Its first call, so it also
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
    sns.delete_topic().topic_arn(topic).send().await?; // and its subscriptions
    Ok(())
}
