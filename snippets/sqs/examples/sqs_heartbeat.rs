//! Work that takes longer than the visibility timeout: with a heartbeat, without, and with one that
//! is late.
//!
//! Guarantee: a worker whose heartbeat was late stops. While the heartbeat extends the timeout a FIFO
//! queue gives the message to nobody else, a standard queue rarely does; 12 h after its receipt at
//! most.
//!
//! Run: `cargo run --example sqs_heartbeat`

use std::{collections::HashMap, future::pending, time::Duration};

use anyhow::{Context, Error, Result, anyhow};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::{DisplayErrorContext, SdkError},
    types::{
        Message, MessageSystemAttributeName as SystemAttribute, QueueAttributeName as Attribute,
    },
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

const QUEUE: &str = "sqs-heartbeat-videos";
const HIDDEN: Duration = Duration::from_secs(4); // the visibility timeout
const WORK: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(60); // more than your slowest work takes

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "4")]).await?;
    for (name, beat) in [
        ("without a heartbeat", None),
        ("with a heartbeat", Some(1)),
        ("with a heartbeat every 6 s", Some(6)), // as if the process had been suspended
    ] {
        sqs.send_message().queue_url(&queue).message_body("a video").send().await?;
        let video = receive(&sqs, &queue, 20).await?.context("no video")?;
        let beat = beat.map(Duration::from_secs);
        // The second worker asks for as long as the first one works.
        let (first, second) =
            tokio::join!(work(&sqs, &queue, &video, beat), receive(&sqs, &queue, 9));
        let second = second?;
        let got = if second.is_some() { "gets it too" } else { "gets nothing" };
        println!("10 s of work, 4 s hidden, {name}: a second worker {got}");
        if let Err(why) = first {
            println!("  the first worker stops: {why}");
        }
        if let Some(receipt) = second.as_ref().and_then(Message::receipt_handle) {
            sqs.delete_message().queue_url(&queue).receipt_handle(receipt).send().await?;
        }
    }
    clean_up(&sqs, &aws).await
}

// ANCHOR: heartbeat
/// Works on a message, and stops when another worker may have it.
async fn work(sqs: &Client, queue: &str, message: &Message, beat: Option<Duration>) -> Result<()> {
    let receipt = message.receipt_handle().context("no receipt handle")?;
    let heart = async {
        match beat {
            Some(beat) => keep(sqs, queue, receipt, beat).await,
            None => pending().await,
        }
    };
    tokio::select! {
        done = timeout(LIMIT, sleep(WORK)) => done.context("it takes too long")?, // yours
        lost = heart => return Err(lost),
    }
    sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
    Ok(())
}

/// Hides a message for another timeout at each beat. Ends when that fails, and says why.
async fn keep(sqs: &Client, queue: &str, receipt: &str, beat: Duration) -> Error {
    let mut ends = Instant::now() + HIDDEN;
    loop {
        sleep(beat).await;
        let begun = Instant::now();
        let extend = sqs.change_message_visibility().queue_url(queue).receipt_handle(receipt);
        let extend = extend.visibility_timeout(HIDDEN.as_secs() as i32).send();
        match timeout_at(ends, extend).await {
            Ok(Ok(_)) if begun < ends => ends = begun + HIDDEN,
            Ok(Err(e)) if e.as_service_error().is_none() => eprintln!("{}", DisplayErrorContext(e)),
            Ok(Err(error)) => return Error::new(error).context("SQS does not extend it"),
            _ => return anyhow!("it was not extended in time"),
        }
    }
}
// ANCHOR_END: heartbeat

/// Receives one message by long polling; none if none comes within `seconds`.
async fn receive(sqs: &Client, queue: &str, seconds: i32) -> Result<Option<Message>> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(seconds);
    let poll = poll.message_system_attribute_names(SystemAttribute::All);
    Ok(poll.send().await?.messages.unwrap_or_default().pop())
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
    for name in [QUEUE] {
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
