//! Clients that die: processes of their own, which kill themselves in the middle of their work as
//! `kill -9` would.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rustix::process::{Signal, getpid, kill_process};
use sandbox::machine::scaled;

use super::{
    kafka::{LIMIT, Sender, Topic, config, number_of},
    sqs_worker_dies,
};

/// What a worker does.
#[derive(Debug, Subcommand)]
pub enum Work {
    /// Reads records in batches and writes each number to a file
    Consume {
        servers: String,
        topic: String,
        /// commit, process
        first: String,
        file: PathBuf,
        /// Dies when it has begun so many; 0: goes on until nothing more comes.
        dies_at: usize,
    },
    /// Sends records and writes its position to a file after every hundred
    Produce {
        servers: String,
        topic: String,
        file: PathBuf,
        count: usize,
        /// Dies when so many are confirmed; 0: never.
        dies_at: usize,
    },
    /// Takes messages from a queue of SQS and writes each number to a file
    Take {
        endpoint: String,
        queue: String,
        /// delete, work
        first: String,
        file: PathBuf,
        /// Dies when it has begun so many; 0: goes on until nothing more comes.
        dies_at: usize,
    },
}

impl Work {
    /// Does it.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn run(&self) -> Result<()> {
        match self {
            Self::Consume {
                servers,
                topic,
                first,
                file,
                dies_at,
            } => consume(servers, topic, first == "commit", file, *dies_at),
            Self::Produce {
                servers,
                topic,
                file,
                count,
                dies_at,
            } => produce(servers, topic, file, *count, *dies_at),
            Self::Take {
                endpoint,
                queue,
                first,
                file,
                dies_at,
            } => take(endpoint, queue, first == "delete", file, *dies_at),
        }
    }

    /// Starts a process that does it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(worker: &Path, arguments: &[&str]) -> Result<Worker> {
        let mut command = Command::new(worker);
        command.arg("work").args(arguments).stdin(Stdio::null());
        let child = command.spawn();
        Ok(Worker(child.with_context(|| {
            format!("starting {}", worker.display())
        })?))
    }
}

/// A running worker; dropping it ends it.
pub struct Worker(Child);

impl Worker {
    /// Waits until it has ended, and returns whether it ended well: one that killed itself did not.
    ///
    /// # Errors
    /// It still runs at the limit.
    pub fn ended_well(&mut self, limit: Duration) -> Result<bool> {
        let limit = scaled(limit);
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status.success());
            }
            ensure!(
                Instant::now() < deadline,
                "the worker still runs after {} s",
                limit.as_secs()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Worker {
    /// One that has ended already is fine.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ends this process without a chance to finish anything.
fn die() -> Result<()> {
    kill_process(getpid(), Signal::KILL)?;
    bail!("still alive")
}

const BATCH: usize = 100;

fn consume(
    servers: &str,
    topic: &str,
    commit_first: bool,
    file: &Path,
    dies_at: usize,
) -> Result<()> {
    let mut settings = config(servers);
    settings
        .set("group.id", topic)
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1000")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    let consumer: BaseConsumer = settings.create()?;
    consumer.subscribe(&[topic])?;
    let mut processed = fs::File::options().create(true).append(true).open(file)?;
    let (mut begun, mut news) = (0, Instant::now());
    loop {
        let mut batch = Vec::new();
        while batch.len() < BATCH {
            // The first records of a group come when a dead member's session has ended.
            let patience = if begun == 0 {
                LIMIT
            } else {
                Duration::from_secs(2)
            };
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(record)) => {
                    batch.push(number_of(&record)?);
                    news = Instant::now();
                }
                _ if news.elapsed() > patience => break,
                _ => {}
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        if commit_first {
            consumer.commit_consumer_state(CommitMode::Sync)?;
        }
        for number in batch {
            begun += 1;
            if begun == dies_at {
                die()?;
            }
            writeln!(processed, "{number}")?; // the work
        }
        if !commit_first {
            consumer.commit_consumer_state(CommitMode::Sync)?;
        }
    }
}

fn produce(servers: &str, topic: &str, file: &Path, count: usize, dies_at: usize) -> Result<()> {
    let start: usize = fs::read_to_string(file).map_or(Ok(0), |text| text.parse())?;
    let topic = Topic {
        servers: servers.to_owned(),
        name: topic.to_owned(),
    };
    let settings = [("acks", "all"), ("enable.idempotence", "true")];
    let mut sender = Sender::new(&topic, &settings)?;
    sender.start_at(start);
    for position in (start..count).step_by(BATCH) {
        if (position..position + BATCH).contains(&dies_at) {
            sender.send(dies_at - position)?;
            sender.settle()?;
            die()?;
        }
        sender.send(BATCH)?;
        sender.settle()?;
        fs::write(file, (position + BATCH).to_string())?;
    }
    Ok(())
}

fn take(
    endpoint: &str,
    queue: &str,
    delete_first: bool,
    file: &Path,
    dies_at: usize,
) -> Result<()> {
    let mut done = fs::File::options().create(true).append(true).open(file)?;
    let mut begun = 0;
    let work = |number| {
        writeln!(done, "{number}")?; // the work
        begun += 1;
        if begun == dies_at {
            die()?;
        }
        Ok(())
    };
    tokio::runtime::Runtime::new()?.block_on(async {
        let sqs = sqs_worker_dies::client(endpoint).await;
        sqs_worker_dies::take(&sqs, queue, delete_first, work).await
    })
}

/// The numbers in a file, one a line, in their order.
///
/// # Errors
/// The file cannot be read, or a line is no number.
pub fn numbers(file: &Path) -> Result<Vec<usize>> {
    let text = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    text.lines().map(|line| Ok(line.parse()?)).collect()
}
