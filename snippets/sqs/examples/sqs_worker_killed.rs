//! A worker is killed in the middle of its jobs; another one does what was left.
//!
//! Guarantee: at least once: every job is done, and the one that was cut off may be done twice.
//! Holds because a job is deleted after the work and never before.
//!
//! Run: `cargo run --example sqs_worker_killed`

use std::{
    collections::{BTreeSet, HashMap},
    env,
    future::pending,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{Client, config, error::SdkError, types::QueueAttributeName as Attribute};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{Instant, sleep, timeout},
};

const QUEUE: &str = "sqs-worker-killed-jobs";
const JOBS: usize = 20;

#[tokio::main]
async fn main() -> Result<()> {
    // An attempt may take longer than a long poll, which is 20 s. The SDK itself sets no limit.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);
    if let (Some(queue), Some(jobs)) = (env::args().nth(1), env::args().nth(2)) {
        return work(&sqs, &queue, jobs.parse()?).await; // started below, as a process of its own
    }

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "3")]).await?;
    for number in 1..=JOBS {
        sqs.send_message().queue_url(&queue).message_body(format!("job {number}")).send().await?;
    }
    // ANCHOR: killed
    let (mut done, mut twice) = (BTreeSet::new(), 0);
    for (worker, hangs_after, jobs) in [("first", "5", 5), ("second", "0", JOBS)] {
        let mut command = Command::new(env::current_exe()?);
        let command = command.args([&queue, hangs_after]).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().context("cannot start a worker")?;
        let printed = process.stdout.take().context("a worker without output")?;
        let mut lines = BufReader::new(printed).lines();
        while done.len() < jobs || (jobs == JOBS && twice == 0) {
            let line = timeout(Duration::from_secs(60), lines.next_line());
            let line = line.await.context("no job done within 60 s")??;
            let line = line.context("the worker ended; what it said is above")?;
            twice += usize::from(!done.insert(line));
        }
        process.kill().await?; // SIGKILL: it ends nothing that it has begun
        println!("the {worker} worker is killed, jobs done so far: {}", done.len());
    }
    println!("done twice, because it was cut off before the deletion: {twice}");
    // ANCHOR_END: killed
    clean_up(&sqs, &aws).await
}

/// Does jobs for ever: says when one is done, and deletes it then; but hangs between the two after
/// so many jobs, to be killed there.
async fn work(sqs: &Client, queue: &str, hangs_after: usize) -> Result<()> {
    let mut done = 0;
    loop {
        let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20).send().await?;
        for job in poll.messages() {
            println!("{}", job.body().unwrap_or_default()); // the work
            done += 1;
            if done == hangs_after {
                pending::<()>().await;
            }
            let receipt = job.receipt_handle().context("no receipt handle")?;
            sqs.delete_message().queue_url(queue).receipt_handle(receipt).send().await?;
        }
    }
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
