//! Three errors before SQS has even been asked: nothing listens, no credentials, no region.
//!
//! Guarantee: none. Printed is the whole chain of causes; on top all three say little.
//!
//! Run: `cargo run --example sqs_error_setup`

use std::{net::TcpListener, time::Duration};

use anyhow::{Context, Error, Result, bail};
use aws_config::{
    BehaviorVersion, SdkConfig, profile::ProfileFileCredentialsProvider, timeout::TimeoutConfig,
};
use aws_sdk_sqs::{
    Client, Config, config,
    config::{Credentials, Region},
};

#[tokio::main]
async fn main() -> Result<()> {
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    is_there(&Client::new(&aws), &aws).await?;
    // ANCHOR: setup
    // A port of this machine that nobody listens on.
    let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nowhere = config::Builder::from(&aws).endpoint_url(format!("http://{free}"));
    report("nothing listens", nowhere.build()).await?;

    let nobody = Config::builder().behavior_version(BehaviorVersion::latest());
    let nowhere_found =
        ProfileFileCredentialsProvider::builder().profile_name("sqs-error-setup").build();
    let nobody = nobody.region(Region::new("us-east-1")).credentials_provider(nowhere_found);
    report("no credentials", nobody.build()).await?;

    let unset = Config::builder().behavior_version(BehaviorVersion::latest());
    let unset = unset.credentials_provider(Credentials::new("test", "test", None, None, "here"));
    report("no region", unset.build()).await?;
    // ANCHOR_END: setup
    Ok(())
}

/// Asks for queues, and prints why that fails: the top of the chain, then the whole of it.
async fn report(what: &str, config: Config) -> Result<()> {
    let Err(error) = Client::from_conf(config).list_queues().send().await else {
        bail!("{what}, and it was answered");
    };
    println!("{what}: {error}");
    for (depth, cause) in Error::from(error).chain().skip(1).enumerate() {
        // The port is another one in each run.
        println!("{}{cause}", "  ".repeat(depth + 1));
    }
    Ok(())
}

/// Whether there is anything to talk to.
async fn is_there(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::new().timeout_config(limit);
    let asked = sqs.list_queues().queue_name_prefix("sqs-error-setup-").customize();
    asked.config_override(limited).send().await.with_context(|| {
        let endpoint = aws.endpoint_url().unwrap_or("AWS");
        format!(
            "cannot use SQS at {endpoint}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    Ok(())
}
