//! A worker you can keep: ten jobs side by side, heartbeats, deletes in batches, a graceful end.
//!
//! Guarantee: at least once. A job is deleted after it was done; one that failed, or that a crash
//! cut off, comes back after the visibility timeout. So a job must bear to be done twice.
//!
//! Run: `cargo run --example sqs_worker`

use std::{collections::HashMap, future::Future, pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client, config,
    error::SdkError,
    types::{DeleteMessageBatchRequestEntry as Deletion, Message, QueueAttributeName as Attribute},
};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

const QUEUE: &str = "sqs-worker-jobs";
const HIDDEN: i32 = 30; // s, the visibility timeout
const JOBS: usize = 25;

#[tokio::main]
async fn main() -> Result<()> {
    // Above the 20 s of a long poll. Without it a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "30")]).await?;
    for number in 1..=JOBS {
        sqs.send_message().queue_url(&queue).message_body(format!("job {number}")).send().await?;
    }
    println!("{JOBS} jobs, of which job 13 fails");
    let stop = drained(&sqs, &queue); // in a service: tokio::signal::ctrl_c()
    let (done, failed) = run(&sqs, &queue, stop).await?;
    println!("stopped; done: {done}, failed: {failed}");
    println!("kept in the queue, to be tried again: {}", numbers(&sqs, &queue).await?.1);
    clean_up(&sqs, &aws).await
}

// ANCHOR: worker
/// Works until it is told to stop, and then ends what it has begun. Returns how many jobs were done
/// and how many failed.
async fn run(
    sqs: &Client,
    queue: &str,
    stop: impl Future<Output = Result<()>>,
) -> Result<(usize, usize)> {
    let (mut stop, mut done, mut failed) = (pin!(stop), 0, 0);
    loop {
        let poll = sqs.receive_message().queue_url(queue).max_number_of_messages(10);
        let jobs = tokio::select! {
            stopped = &mut stop => return stopped.map(|()| (done, failed)),
            received = poll.wait_time_seconds(20).send() => received?.messages.unwrap_or_default(),
        };
        let results = join_all(jobs.iter().map(|job| handle(sqs, queue, job))).await;
        let mut deletions = Vec::new();
        for (index, (job, result)) in jobs.into_iter().zip(results).enumerate() {
            if let Err(error) = result {
                failed += 1; // not deleted: it comes back by itself
                println!("{}: {error:#}", job.body.unwrap_or_default());
                continue;
            }
            let deletion = Deletion::builder().id(index.to_string());
            deletions.push(deletion.set_receipt_handle(job.receipt_handle).build()?);
        }
        if deletions.is_empty() {
            continue;
        }
        done += deletions.len();
        let batch = sqs.delete_message_batch().queue_url(queue).set_entries(Some(deletions));
        for job in batch.send().await?.failed() {
            eprintln!("not deleted, will be done again: {job:?}");
        }
    }
}

/// Does one job, and keeps it hidden for as long as that takes.
async fn handle(sqs: &Client, queue: &str, job: &Message) -> Result<()> {
    let receipt = job.receipt_handle().context("no receipt handle")?;
    let mut work = pin!(work(job.body().unwrap_or_default()));
    loop {
        match timeout(Duration::from_secs(10), &mut work).await {
            Ok(result) => return result,
            Err(_) => {
                let extend = sqs.change_message_visibility().queue_url(queue);
                extend.receipt_handle(receipt).visibility_timeout(HIDDEN).send().await?;
            }
        }
    }
}

/// The job itself: yours.
async fn work(job: &str) -> Result<()> {
    sleep(Duration::from_millis(20)).await;
    if job == "job 13" {
        bail!("the image is broken");
    }
    Ok(())
}
// ANCHOR_END: worker

/// Waits until only the job that failed is left, hidden.
async fn drained(sqs: &Client, queue: &str) -> Result<()> {
    while numbers(sqs, queue).await? != ("0".to_owned(), "1".to_owned()) {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// How many messages are visible and how many hidden: approximate on AWS.
async fn numbers(sqs: &Client, queue: &str) -> Result<(String, String)> {
    let asked = sqs.get_queue_attributes().queue_url(queue).attribute_names(Attribute::All);
    let mut all = asked.send().await?.attributes.context("no numbers")?;
    let mut number = |name| all.remove(&name).context("no number");
    Ok((
        number(Attribute::ApproximateNumberOfMessages)?,
        number(Attribute::ApproximateNumberOfMessagesNotVisible)?,
    ))
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
    let own = sqs.list_queues().queue_name_prefix("sqs-worker-").customize();
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
