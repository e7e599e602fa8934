//! A worker for a service: ten places, heartbeats, a time limit, a dead-letter queue, a graceful end.
//!
//! Guarantee: at least once. A job is deleted after it was done. One that failed, or that a crash cut
//! off, comes back after the visibility timeout, and is a dead letter after three receives.
//!
//! Run: `cargo run --example sqs_worker`

use std::{future::Future, future::pending, pin::pin, time::Duration};

use anyhow::{Context, Error, Result, anyhow, bail};
use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName as Attribute};
use aws_sdk_sqs::{Client, error::DisplayErrorContext};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio::{signal::ctrl_c, signal::unix, sync::Semaphore, task::JoinSet};

const QUEUE: &str = "sqs-worker-jobs";
const DEAD: &str = "sqs-worker-dead";
const COUNT: MessageSystemAttributeName = MessageSystemAttributeName::ApproximateReceiveCount;
const PLACES: i32 = 10; // SQS gives ten at most
const LIMIT: Duration = Duration::from_secs(3); // more than your slowest job takes
const HIDDEN: Duration = Duration::from_secs(30); // the visibility timeout
const POLL: i32 = 2; // s; 20 in a service that may take so long to stop
const ANSWER: Duration = Duration::from_secs(7); // more than POLL; the SDK itself sets no limit
const START: &str =
    "to start an emulator: docker compose up -d --wait, or cargo run --bin sandbox -- up";
const JOBS: u32 = 25;
static TRIED: Semaphore = Semaphore::const_new(0); // one permit for each job

#[tokio::main]
async fn main() -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(ANSWER).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);
    let address = aws.endpoint_url().unwrap_or("AWS");
    clean_up(&sqs).await.with_context(|| format!("cannot use SQS at {address}; {START}"))?;
    let dead = sqs.create_queue().queue_name(DEAD).send().await?; // AWS: 60 s after its deletion
    let asked = sqs.get_queue_attributes().set_queue_url(dead.queue_url);
    let arn = asked.attribute_names(Attribute::QueueArn).send().await?.attributes;
    let arn = arn.and_then(|mut all| all.remove(&Attribute::QueueArn)).context("no ARN")?;
    let redrive = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#);
    let create = sqs.create_queue().queue_name(QUEUE).attributes(Attribute::RedrivePolicy, redrive);
    let create = create.attributes(Attribute::VisibilityTimeout, HIDDEN.as_secs().to_string());
    let queue = create.send().await?.queue_url.context("SQS gave no address")?;
    for number in 1..=JOBS {
        sqs.send_message().queue_url(&queue).message_body(format!("job {number}")).send().await?;
    }
    println!("{JOBS} jobs, of which job 13 fails and job 14 hangs");
    run(&sqs, &queue, stop()).await;
    let hidden = Attribute::ApproximateNumberOfMessagesNotVisible;
    let asked = sqs.get_queue_attributes().queue_url(&queue).attribute_names(hidden.clone());
    let kept = asked.send().await?.attributes.and_then(|mut all| all.remove(&hidden));
    println!("stopped; kept in the queue, to be tried again: {}", kept.context("no number")?);
    clean_up(&sqs).await
}

// ANCHOR: worker
/// Works until `stop` ends, and then ends what it has begun.
async fn run(sqs: &Client, queue: &str, stop: impl Future) {
    let (mut stop, mut stopping, mut jobs) = (pin!(stop), false, JoinSet::new());
    while !stopping {
        while jobs.try_join_next().is_some() {} // what has ended leaves its place
        let free = PLACES - jobs.len() as i32;
        let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(POLL);
        let poll = poll.max_number_of_messages(free).message_attribute_names("All");
        let mut poll = pin!(poll.message_system_attribute_names(COUNT).send());
        let received = tokio::select! {
            received = &mut poll, if free > 0 => received,
            _ = jobs.join_next(), if free == 0 => continue,
            _ = &mut stop => {
                stopping = true;
                if free == 0 { break } else { poll.await } // what it brings is hidden already
            }
        };
        match received.map(|received| received.messages.unwrap_or_default()) {
            Ok(messages) => messages.into_iter().for_each(|job| {
                jobs.spawn(handle(sqs.clone(), queue.to_owned(), job));
            }),
            Err(error) => {
                eprintln!("cannot receive, will try again: {}", DisplayErrorContext(error));
                stopping = stopping || timeout(Duration::from_secs(1), &mut stop).await.is_ok();
            }
        }
    }
    while jobs.join_next().await.is_some() {}
}

/// One job from its receipt to its deletion. One that fails comes back when it is visible again.
async fn handle(sqs: Client, queue: String, job: Message) {
    let result = tokio::select! {
        done = timeout(LIMIT, work_and_delete(&sqs, &queue, &job)) =>
            done.unwrap_or_else(|_| Err(anyhow!("not done within {LIMIT:?}"))),
        lost = keep(&sqs, &queue, &job) => Err(lost), // drops the work
    };
    if let Err(error) = result {
        let attempt = job.attributes().and_then(|all| all.get(&COUNT)).map_or("?", |count| count);
        println!("{}, attempt {attempt}: {error:#}", job.body().unwrap_or_default());
    }
    TRIED.add_permits(1);
}

async fn work_and_delete(sqs: &Client, queue: &str, job: &Message) -> Result<()> {
    work(job).await?;
    let call = sqs.delete_message().queue_url(queue).set_receipt_handle(job.receipt_handle.clone());
    while let Err(error) = call.clone().send().await {
        eprintln!("done, not yet deleted: {}", DisplayErrorContext(error));
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

/// Keeps the job hidden, and ends when it can't: then another worker may have the job.
async fn keep(sqs: &Client, queue: &str, job: &Message) -> Error {
    let mut ends = Instant::now() + HIDDEN;
    loop {
        sleep(HIDDEN / 3).await;
        let begun = Instant::now();
        let extend = sqs.change_message_visibility().queue_url(queue);
        let extend = extend.set_receipt_handle(job.receipt_handle.clone());
        let extend = extend.visibility_timeout(HIDDEN.as_secs() as i32).send();
        match timeout_at(ends, extend).await {
            Ok(Ok(_)) if begun < ends => ends = begun + HIDDEN,
            Ok(Err(e)) if e.as_service_error().is_none() => eprintln!("{}", DisplayErrorContext(e)),
            Ok(Err(error)) => return Error::new(error).context("stopped: SQS does not extend it"),
            _ => return anyhow!("stopped: it was not extended in time"),
        }
    }
}

/// The job itself: yours.
async fn work(job: &Message) -> Result<()> {
    match job.body() {
        Some("job 13") => bail!("the image is broken"),
        Some("job 14") => pending().await,
        _ => Ok(()),
    }
}

/// Ends at Ctrl-C and at SIGTERM; here also when every job was tried.
async fn stop() -> Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = ctrl_c() => Ok(pressed?),
        _ = terminate.recv() => Ok(()),
        _ = TRIED.acquire_many(JOBS) => Ok(()),
    }
}
// ANCHOR_END: worker

async fn clean_up(sqs: &Client) -> Result<()> {
    for name in [QUEUE, DEAD] {
        let found = sqs.get_queue_url().queue_name(name).send().await;
        match found.map_err(|error| error.into_service_error()) {
            Ok(found) => drop(sqs.delete_queue().set_queue_url(found.queue_url).send().await?),
            Err(error) if error.is_queue_does_not_exist() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
