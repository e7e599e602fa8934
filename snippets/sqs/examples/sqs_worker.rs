//! A worker you can keep: ten jobs side by side, heartbeats, deletes in batches, a graceful end.
//!
//! Guarantee: at least once. A job is deleted after it was done; one that failed, or that a crash
//! cut off, comes back after the visibility timeout. So a job must bear to be done twice.
//!
//! Run: `cargo run --example sqs_worker`

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    types::{
        ChangeMessageVisibilityBatchRequestEntry as Extension,
        DeleteMessageBatchRequestEntry as Deletion, Message, QueueAttributeName as Attribute,
    },
};
use futures::future::join_all;
use tokio::time::{sleep, timeout};

const QUEUE: &str = "sqs-worker-jobs";
const HIDDEN: i32 = 30; // s, the visibility timeout
const POLL: i32 = 2; // s; 20 in a service that may take so long to stop
const JOBS: usize = 25;
static TRIED: AtomicUsize = AtomicUsize::new(0);

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let hidden = (Attribute::VisibilityTimeout, HIDDEN.to_string());
    let created = sqs.create_queue().queue_name(QUEUE).attributes(hidden.0, hidden.1).send().await;
    let created =
        created.context("cannot create the queue; 60 s after its deletion AWS lets you")?;
    let queue = created.queue_url.context("SQS gave no address")?;
    for number in 1..=JOBS {
        sqs.send_message().queue_url(&queue).message_body(format!("job {number}")).send().await?;
    }
    println!("{JOBS} jobs, of which job 13 fails");
    let stop = all_tried(); // in a service: tokio::signal::ctrl_c()
    let (done, failed) = run(&sqs, &queue, stop).await?;
    println!("stopped; done: {done}, failed: {failed}");
    let hidden = Attribute::ApproximateNumberOfMessagesNotVisible;
    let asked = sqs.get_queue_attributes().queue_url(&queue).attribute_names(hidden.clone());
    let kept = asked.send().await?.attributes.and_then(|mut all| all.remove(&hidden));
    println!("kept in the queue, to be tried again: {}", kept.context("no number")?);
    clean_up(&sqs, &aws).await
}

// ANCHOR: worker
/// Works until `stop` ends, and then ends what it has begun. Returns how many jobs were done and how
/// many failed. An error of SQS ends it: have it started again.
async fn run(sqs: &Client, queue: &str, stop: impl Future) -> Result<(usize, usize)> {
    let (mut stop, mut stopping, mut done, mut failed) = (pin!(stop), false, 0, 0);
    while !stopping {
        let poll = sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let mut poll = pin!(poll.wait_time_seconds(POLL).send());
        let received = tokio::select! {
            received = &mut poll => received,
            _ = &mut stop => {
                stopping = true;
                poll.await // what it brings is hidden already
            }
        };
        let jobs = received?.messages.unwrap_or_default();
        let mut deletions = Vec::new();
        for (job, result) in jobs.iter().zip(work_on_all(sqs, queue, &jobs).await?) {
            if let Err(error) = result {
                failed += 1; // not deleted: it comes back by itself
                println!("{}: {error:#}", job.body().unwrap_or_default());
                continue;
            }
            let deletion = Deletion::builder().id(deletions.len().to_string());
            deletions.push(deletion.set_receipt_handle(job.receipt_handle.clone()).build()?);
        }
        if deletions.is_empty() {
            continue;
        }
        let batch = sqs.delete_message_batch().queue_url(queue).set_entries(Some(deletions));
        match batch.send().await {
            Ok(answer) => done += answer.successful().len(), // the others are done again
            Err(error) => eprintln!("not deleted, will be done again: {error:?}"),
        }
    }
    Ok((done, failed))
}

/// Works on up to ten jobs side by side, and keeps all of them hidden until the slowest is done.
async fn work_on_all(sqs: &Client, queue: &str, jobs: &[Message]) -> Result<Vec<Result<()>>> {
    let mut all = pin!(join_all(jobs.iter().map(|job| work(job.body().unwrap_or_default()))));
    loop {
        if let Ok(results) = timeout(Duration::from_secs(10), &mut all).await {
            return Ok(results);
        }
        let entries = jobs.iter().enumerate().map(|(index, job)| {
            let entry = Extension::builder().id(index.to_string()).visibility_timeout(HIDDEN);
            Ok(entry.set_receipt_handle(job.receipt_handle.clone()).build()?)
        });
        let entries = entries.collect::<Result<_>>()?;
        let extend = sqs.change_message_visibility_batch().queue_url(queue);
        if let Err(error) = extend.set_entries(Some(entries)).send().await {
            eprintln!("not extended, may be done twice: {error:?}");
        }
    }
}

/// The job itself: yours.
async fn work(job: &str) -> Result<()> {
    sleep(Duration::from_millis(20)).await;
    TRIED.fetch_add(1, Ordering::Relaxed);
    ensure!(job != "job 13", "the image is broken");
    Ok(())
}
// ANCHOR_END: worker

/// Ends when every job was tried.
async fn all_tried() {
    while TRIED.load(Ordering::Relaxed) < JOBS {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Deletes the queues of this program. Its first call, so it also finds out whether there is
/// anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::new().timeout_config(limit);
    let found = sqs.get_queue_url().queue_name(QUEUE).customize().config_override(limited);
    match found.send().await {
        Ok(found) => {
            sqs.delete_queue().set_queue_url(found.queue_url).send().await?;
            Ok(())
        }
        Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {
            Ok(())
        }
        Err(error) => {
            let endpoint = aws.endpoint_url().unwrap_or("AWS");
            Err(error).with_context(|| {
                format!(
                    "cannot use SQS at {endpoint}; to start an emulator: \
                     docker compose up -d --wait, or cargo run --bin sandbox -- up"
                )
            })
        }
    }
}
