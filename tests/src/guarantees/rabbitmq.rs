//! Instruments for RabbitMQ: a publisher that keeps its receipts and connects anew by itself, and a
//! reading of all that is in a queue.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream::FuturesUnordered};
use guide::guarantees::Counts;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use sandbox::Cluster;
use tokio::time::{Instant, sleep, timeout};

use super::tally::Receipts;

/// Longer than any failover on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

const OUTSTANDING: usize = 500;

/// A connection and a channel of it.
///
/// # Errors
/// There is none within 5 s.
pub async fn open(url: &str) -> Result<(Connection, Channel)> {
    open_with(url, ConnectionProperties::default()).await
}

async fn open_with(url: &str, properties: ConnectionProperties) -> Result<(Connection, Channel)> {
    let connecting = Connection::connect(url, properties);
    let opening = async {
        let connection = connecting.await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    };
    timeout(Duration::from_secs(5), opening)
        .await
        .context("no connection within 5 s")?
}

/// Declares a durable queue on the node that `url` leads to, which becomes its leader.
///
/// # Errors
/// It cannot be declared.
pub async fn declare(url: &str, name: &str, kind: &str) -> Result<()> {
    let (_connection, channel) = open(url).await?;
    let mut arguments = FieldTable::default();
    for (key, value) in [
        ("x-queue-type", kind),
        ("x-queue-leader-locator", "client-local"),
    ] {
        arguments.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    let options = QueueDeclareOptions::durable();
    let declaring = channel.queue_declare(name.into(), options, arguments);
    let declared = timeout(LIMIT, declaring).await;
    declared.context("no queue within 60 s")??;
    Ok(())
}

/// The node that leads a quorum queue or stream, by its number.
///
/// # Errors
/// `rabbitmqctl` fails, or knows no such queue.
pub fn leader(cluster: &Cluster, node: usize, queue: &str) -> Result<usize> {
    let listed = cluster.rabbitmqctl(node, &["-q", "list_queues", "name", "leader"])?;
    let line = listed
        .lines()
        .find(|line| line.split_whitespace().next() == Some(queue));
    let leader = line.and_then(|line| line.split_whitespace().nth(1));
    let number = leader.and_then(|name| name.strip_prefix('n')?.split('@').next()?.parse().ok());
    number.with_context(|| format!("no leader of {queue} in\n{listed}"))
}

/// What is published, and by which nodes.
#[derive(Clone)]
pub struct Publisher {
    /// The nodes, one after the other when a connection breaks.
    pub urls: Vec<String>,
    /// The queue.
    pub queue: String,
    /// `classic`, `quorum` or `stream`.
    pub kind: &'static str,
    /// How many messages.
    pub count: usize,
    /// How many a second; 0: as fast as it goes.
    pub per_second: usize,
    /// 1: transient, 2: persistent.
    pub delivery_mode: u8,
    /// How long lapin's own recovery may take before the connection is dropped and made anew; without
    /// it that is done at once.
    pub recovery: Option<Duration>,
    /// How often lapin's own recovery took longer.
    pub hung: Arc<AtomicUsize>,
    /// The answers.
    pub receipts: Arc<Receipts>,
    /// How many were sent again.
    pub again: Arc<AtomicUsize>,
}

type Answer = Pin<Box<dyn Future<Output = (usize, Result<bool>)> + Send>>;

impl Publisher {
    /// 20,000 persistent messages, 5,000 a second.
    pub fn new(urls: Vec<String>, queue: &str, kind: &'static str) -> Self {
        Self {
            urls,
            queue: queue.to_owned(),
            kind,
            count: 20_000,
            per_second: 5_000,
            delivery_mode: 2,
            recovery: None,
            hung: Arc::default(),
            receipts: Arc::default(),
            again: Arc::default(),
        }
    }

    /// Publishes until everything is confirmed. What has no answer when a connection breaks, and
    /// what was refused, is sent again.
    ///
    /// # Errors
    /// No node takes a connection for a minute.
    pub async fn publish(self) -> Result<()> {
        let start = Instant::now();
        let mut to_send: VecDeque<usize> = (0..self.count).collect();
        let mut failures = 0;
        for url in self.urls.iter().cycle() {
            match self.publish_by(url, &mut to_send, start).await {
                Ok(()) => return Ok(()),
                Err(error) if failures > 60 => return Err(error),
                Err(_) => failures += 1,
            }
            sleep(Duration::from_millis(200)).await;
        }
        bail!("no node to connect to")
    }

    /// Publishes by one connection, recovered as often as it recovers.
    async fn publish_by(
        &self,
        url: &str,
        to_send: &mut VecDeque<usize>,
        start: Instant,
    ) -> Result<()> {
        let properties = match self.recovery {
            Some(_) => ConnectionProperties::default().enable_auto_recover(),
            None => ConnectionProperties::default(),
        };
        let (_connection, channel) = open_with(url, properties).await?;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await?;
        while let Err(error) = self.publish_on(&channel, to_send, start).await {
            let Some(limit) = self.recovery else {
                return Err(error);
            };
            let recovered = match error.downcast::<lapin::Error>() {
                Ok(error) => timeout(limit, channel.wait_for_recovery(error)).await,
                Err(silence) => {
                    self.hung.fetch_add(1, Ordering::Relaxed);
                    return Err(silence);
                }
            };
            if recovered.is_err() {
                self.hung.fetch_add(1, Ordering::Relaxed);
            }
            recovered.context("not recovered in time")??;
        }
        Ok(())
    }

    /// Reads the queue, and counts.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn counts(&self, url: &str) -> Result<Counts> {
        let arrived = self.read(url).await?;
        Ok(self.receipts.counts(self.count, &arrived))
    }

    /// Every number in the queue, in the order of its messages.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn read(&self, url: &str) -> Result<Vec<usize>> {
        read(url, &self.queue, self.kind, &self.receipts.numbers()).await
    }

    /// Publishes until an error. What has no answer then comes back to `to_send`.
    async fn publish_on(
        &self,
        channel: &Channel,
        to_send: &mut VecDeque<usize>,
        start: Instant,
    ) -> Result<()> {
        let mut waiting: FuturesUnordered<Answer> = FuturesUnordered::new();
        let mut unanswered = BTreeSet::new();
        let broken = loop {
            let ready = !to_send.is_empty() && unanswered.len() < OUTSTANDING;
            if ready && let Some(number) = to_send.pop_front() {
                unanswered.insert(number);
                match self.send(channel, number, start).await {
                    Ok(answer) => waiting.push(answer),
                    Err(error) => break error,
                }
                if unanswered.len() < OUTSTANDING / 2 {
                    continue;
                }
            }
            match waiting.next().await {
                None => return Ok(()),
                Some((number, Ok(is_confirmed))) => {
                    unanswered.remove(&number);
                    if is_confirmed {
                        self.receipts.confirm(number);
                    } else {
                        self.again.fetch_add(1, Ordering::Relaxed);
                        to_send.push_back(number);
                        sleep(Duration::from_millis(5)).await; // it would be refused at once again
                    }
                }
                Some((_, Err(error))) => break error,
            }
        };
        self.again.fetch_add(unanswered.len(), Ordering::Relaxed);
        for number in unanswered.into_iter().rev() {
            to_send.push_front(number);
        }
        Err(broken)
    }

    async fn send(&self, channel: &Channel, number: usize, start: Instant) -> Result<Answer> {
        if self.per_second > 0 {
            let due = Duration::from_secs_f64(number as f64 / self.per_second as f64);
            if let Some(early) = due.checked_sub(start.elapsed()) {
                sleep(early).await;
            }
        }
        let payload = format!("{number:0100}");
        let properties = BasicProperties::default().with_delivery_mode(self.delivery_mode);
        let options = BasicPublishOptions::default();
        let queue = self.queue.as_str().into();
        let publishing =
            channel.basic_publish("".into(), queue, options, payload.as_bytes(), properties);
        let limit = self.recovery.unwrap_or(LIMIT);
        let confirm = timeout(limit, publishing).await;
        let confirm = confirm.context("not written in time")??;
        Ok(Box::pin(async move {
            let answer = timeout(limit, confirm).await;
            let answer = answer.context("no confirm in time");
            (number, answer.and_then(|answer| Ok(answer?.is_ack())))
        }))
    }
}

/// Takes every number from a queue, in the order of its messages, until all of `expected` are there
/// and nothing more has come for 1 s, or nothing has come for 10 s.
///
/// # Errors
/// The queue cannot be read for a minute.
async fn read(
    url: &str,
    queue: &str,
    kind: &str,
    expected: &BTreeSet<usize>,
) -> Result<Vec<usize>> {
    let deadline = Instant::now() + LIMIT;
    let mut read = Vec::new();
    loop {
        // After a restart a queue may have no leader for a moment.
        match read_on(url, queue, kind, expected, &mut read).await {
            Ok(()) => return Ok(read),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(Duration::from_millis(500)).await,
        }
        ensure!(read.is_empty(), "reading {queue} was cut off");
    }
}

async fn read_on(
    url: &str,
    queue: &str,
    kind: &str,
    expected: &BTreeSet<usize>,
    read: &mut Vec<usize>,
) -> Result<()> {
    let (_connection, channel) = open(url).await?;
    channel.basic_qos(500, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    if kind == "stream" {
        let first = AMQPValue::LongString("first".into());
        arguments.insert("x-stream-offset".into(), first);
    }
    let options = BasicConsumeOptions::default();
    let consuming = channel.basic_consume(queue.into(), "".into(), options, arguments);
    let mut messages = timeout(Duration::from_secs(10), consuming)
        .await
        .context("no consumer within 10 s")??;
    let mut missing = expected.clone();
    loop {
        let patience = Duration::from_secs(if missing.is_empty() { 1 } else { 10 });
        let Ok(message) = timeout(patience, messages.next()).await else {
            return Ok(());
        };
        let message = message.context("the consumer was cancelled")??;
        let number = std::str::from_utf8(&message.data)?.parse()?;
        missing.remove(&number);
        read.push(number);
        message.ack(BasicAckOptions::default()).await?;
    }
}
