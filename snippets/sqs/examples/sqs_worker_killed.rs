//! A worker is killed in the middle of its jobs; another one does what was left.
//!
//! Guarantee: at least once: every job is done, and the one that was cut off may be done twice.
//! Holds because a job is deleted after the work and never before.
//!
//! Run: `cargo run --example sqs_worker_killed`

use std::{
    collections::{BTreeSet, HashMap},
    env,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
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
    // Above the 20 s of a long poll. Without it a silent endpoint would hold a call for ever.
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(30)).build();
    let aws = aws_config::defaults(BehaviorVersion::latest()).timeout_config(limit).load().await;
    let sqs = Client::new(&aws);
    if let Some(queue) = env::args().nth(1) {
        return work(&sqs, &queue).await; // started below, as a process of its own
    }

    clean_up(&sqs, &aws).await?; // left by a run that was cut off
    let queue = create(&sqs, QUEUE, &[(Attribute::VisibilityTimeout, "3")]).await?;
    for number in 1..=JOBS {
        sqs.send_message().queue_url(&queue).message_body(format!("job {number}")).send().await?;
    }
    // ANCHOR: killed
    let (mut done, mut workers) = (BTreeSet::new(), 0);
    while done.len() < JOBS {
        ensure!(workers < 3, "two workers did {} of {JOBS} jobs", done.len());
        workers += 1;
        let mut command = Command::new(env::current_exe()?);
        let command = command.arg(&queue).stdout(Stdio::piped()).kill_on_drop(true);
        let mut worker = command.spawn().context("cannot start a worker")?;
        let printed = worker.stdout.take().context("a worker without output")?;
        let mut lines = BufReader::new(printed).lines();
        while done.len() < JOBS {
            let line = timeout(Duration::from_secs(60), lines.next_line());
            let line = line.await.context("no job done within 60 s")??;
            let line = line.context("the worker ended; what it said is above")?;
            done.insert(line);
            if workers == 1 && done.len() == 5 {
                break;
            }
        }
        worker.kill().await?; // SIGKILL: it ends nothing that it has begun
        println!("worker {workers} is killed, jobs done so far: {}", done.len());
    }
    // ANCHOR_END: killed
    println!("every job was done: {}", done.len() == JOBS);
    clean_up(&sqs, &aws).await
}

/// Does jobs for ever: says when one is done, and deletes it then.
async fn work(sqs: &Client, queue: &str) -> Result<()> {
    loop {
        let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20).send().await?;
        for job in poll.messages() {
            println!("{}", job.body().unwrap_or_default()); // the work
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

/// Deletes the queues that carry this program's name. Its first call, so it also finds out whether
/// there is anything to talk to.
async fn clean_up(sqs: &Client, aws: &SdkConfig) -> Result<()> {
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::new().timeout_config(limit);
    let own = sqs.list_queues().queue_name_prefix("sqs-worker-killed-").customize();
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
