//! SQS and SNS as the recorders of traces use them.

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::{Client, config::Credentials, types::QueueAttributeName};

use crate::brokers::Brokers;

pub async fn config(brokers: &Brokers) -> Result<SdkConfig> {
    let credentials = Credentials::new(
        brokers.variable("AWS_ACCESS_KEY_ID")?,
        brokers.variable("AWS_SECRET_ACCESS_KEY")?,
        None,
        None,
        "the brokers' environment",
    );
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(brokers.variable("AWS_ENDPOINT_URL")?)
        .region(Region::new(brokers.variable("AWS_REGION")?.to_owned()))
        .credentials_provider(credentials);
    Ok(loader.load().await)
}

pub async fn queue_arn(client: &Client, queue: &str) -> Result<String> {
    let ask = client.get_queue_attributes().queue_url(queue);
    let ask = ask.attribute_names(QueueAttributeName::QueueArn);
    let attributes = ask.send().await?.attributes.unwrap_or_default();
    let arn = attributes.get(&QueueAttributeName::QueueArn).cloned();
    arn.context("the queue has no ARN")
}
