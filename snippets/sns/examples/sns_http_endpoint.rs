//! An HTTP endpoint of your own: it confirms its subscription and gets a notification.
//!
//! Guarantee: at least once, with the retries of the subscription's delivery policy. A notification
//! can be forged by anyone who finds the address, so it must be checked.
//!
//! Run: `cargo run --example sns_http_endpoint`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config};
use axum::{Router, extract::State, http::StatusCode, routing::post};
use serde::Deserialize;
use tokio::{net::TcpListener, sync::mpsc, time::timeout};

const TOPIC: &str = "sns-http-endpoint-user-events";
const LIMIT: Duration = Duration::from_secs(30);

// ANCHOR: endpoint
/// What SNS posts, as text/plain. `Type` is SubscriptionConfirmation or Notification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Posted {
    #[serde(rename = "Type")]
    kind: String,
    topic_arn: String,
    message: String,
    token: Option<String>,
    signature_version: String,
    #[serde(rename = "SigningCertURL")]
    signing_cert_url: String,
}

/// Takes a post and answers at once: SNS counts what takes longer than 15 s as failed. In production
/// check it first, and answer OK when it is in a place that survives a crash.
async fn take(State(posts): State<mpsc::Sender<Posted>>, body: String) -> StatusCode {
    let Ok(posted) = serde_json::from_str(&body) else { return StatusCode::BAD_REQUEST };
    match posts.try_send(posted) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE, // SNS tries again
    }
}

/// Whether the certificate that a post names is one of SNS in the topic's region. Only then is its
/// signature worth checking; an emulator's never is.
fn names_certificate_of_sns(posted: &Posted) -> bool {
    let region = posted.topic_arn.split(':').nth(3).unwrap_or_default();
    posted.signing_cert_url.starts_with(&format!("https://sns.{region}.amazonaws.com/"))
}
// ANCHOR_END: endpoint

#[tokio::main]
async fn main() -> Result<()> {
    // The SDK itself sets no limit on an answer.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sns = Sns::new(&aws);

    clean_up(&sns, &aws).await?; // left by a run that was cut off
    let topic = sns.create_topic().name(TOPIC).send().await?.topic_arn.context("no ARN")?;
    // ANCHOR: confirm
    let listener = TcpListener::bind("127.0.0.1:0").await?; // not to be reached from a container, or from AWS
    let endpoint = format!("http://{}/events", listener.local_addr()?);
    let (posts, mut posted) = mpsc::channel(10);
    let routes = Router::new().route("/events", post(take)).with_state(posts);
    tokio::spawn(async move { axum::serve(listener, routes).await });

    let subscribe = sns.subscribe().topic_arn(&topic).protocol("http").endpoint(endpoint);
    subscribe.send().await?;
    let request = next(&mut posted).await?;
    println!("posted: {}", request.kind);
    ensure!(request.topic_arn == topic, "for a topic that is not ours: {}", request.topic_arn);
    let token = request.token.context("no token")?;
    sns.confirm_subscription().topic_arn(&topic).token(token).send().await?;
    println!("confirmed");

    sns.publish().topic_arn(&topic).message("user 17 registered").send().await?;
    let event = next(&mut posted).await?;
    ensure!(event.topic_arn == topic, "for a topic that is not ours: {}", event.topic_arn);
    println!("posted: {}: {}", event.kind, event.message);
    println!("  signature version: {}", event.signature_version);
    println!("  names a certificate of SNS: {}", names_certificate_of_sns(&event));
    // ANCHOR_END: confirm
    clean_up(&sns, &aws).await
}

async fn next(posted: &mut mpsc::Receiver<Posted>) -> Result<Posted> {
    let post = timeout(LIMIT, posted.recv()).await;
    post.context("nothing was posted within 30 s: can SNS reach this machine? A container cannot")?
        .context("closed")
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
