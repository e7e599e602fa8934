//! Instruments for Kafka: topics whose leader is known, a producer that keeps its receipts, and a
//! reading of all that is in a topic.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer},
};
use sandbox::Cluster;

use super::tally::{Receipts, wait_for};

/// Longer than any failover on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A topic of one partition.
#[derive(Clone, Debug)]
pub struct Topic {
    /// All brokers.
    pub servers: String,
    /// Its name.
    pub name: String,
}

impl Topic {
    /// Makes a topic whose partition is on these nodes, the first one its leader, and waits until
    /// all of them are in sync.
    ///
    /// # Errors
    /// It cannot be made, or it is not in sync in time.
    pub fn create(
        cluster: &Cluster,
        runtime: &tokio::runtime::Handle,
        name: &str,
        replicas: &[i32],
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let (_, servers) = cluster.environment().remove(0);
        let config = config(&servers);
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        let assignment = [replicas];
        let mut topic = NewTopic::new(name, 1, TopicReplication::Variable(&assignment));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        for created in runtime.block_on(admin.create_topics([&topic], &options))? {
            created.map_err(|(name, code)| anyhow::anyhow!("creating {name}: {code}"))?;
        }
        let name = name.to_owned();
        let topic = Self { servers, name };
        let leader = usize::try_from(replicas[0])?;
        wait_for("all replicas in sync", LIMIT, || {
            let state = topic.seen_by(cluster, leader)?;
            Ok(state.leader == replicas[0] && state.in_sync.len() == replicas.len())
        })?;
        Ok(topic)
    }

    /// The partition as one node sees it.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn seen_by(&self, cluster: &Cluster, node: usize) -> Result<Partition> {
        let client: BaseConsumer = config(&cluster.endpoint(node)?).create()?;
        let metadata = client.fetch_metadata(Some(&self.name), Duration::from_secs(5))?;
        let topic = metadata.topics().first();
        let partition = topic.and_then(|topic| topic.partitions().first());
        let partition = partition.with_context(|| format!("node {node} knows no {}", self.name))?;
        Ok(Partition {
            leader: partition.leader(),
            in_sync: partition.isr().to_vec(),
        })
    }

    /// The offset that the next record will have.
    ///
    /// # Errors
    /// The leader does not answer.
    pub fn end(&self) -> Result<i64> {
        let client: BaseConsumer = config(&self.servers).create()?;
        Ok(client.fetch_watermarks(&self.name, 0, LIMIT)?.1)
    }

    /// Waits until a node sees another leader than `old`, and returns it.
    ///
    /// # Errors
    /// It does not in time.
    pub fn await_leader_other_than(&self, cluster: &Cluster, old: i32, node: usize) -> Result<i32> {
        let mut leader = -1;
        wait_for("a new leader", LIMIT, || {
            leader = self.seen_by(cluster, node)?.leader;
            Ok(leader > 0 && leader != old)
        })?;
        Ok(leader)
    }

    /// Every number in the topic, in the order of the log. It is read until all of `expected` are
    /// there, or until nothing more has come for 5 s: after a change of leader the end that readers
    /// may see moves on only after a few seconds.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn read(&self, expected: &BTreeSet<usize>) -> Result<Vec<usize>> {
        let consumer: BaseConsumer = config(&self.servers)
            .set("group.id", "guarantees.audit")
            .set("enable.partition.eof", "true")
            .create()?;
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(&self.name, 0, Offset::Beginning)?;
        consumer.assign(&partition)?;
        let (mut read, mut missing) = (Vec::new(), expected.clone());
        let mut news = Instant::now();
        loop {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Ok(record)) => {
                    let number = number_of(&record)?;
                    missing.remove(&number);
                    read.push(number);
                    news = Instant::now();
                }
                Some(Err(KafkaError::PartitionEOF(_))) if missing.is_empty() => return Ok(read),
                Some(Err(KafkaError::PartitionEOF(_))) | None => {}
                // The client looks for another broker by itself.
                Some(Err(error)) if news.elapsed() > LIMIT => return Err(error.into()),
                Some(Err(_)) => {}
            }
            if !read.is_empty() && news.elapsed() > Duration::from_secs(5) {
                return Ok(read);
            }
            ensure!(
                news.elapsed() < LIMIT,
                "nothing could be read in {}",
                self.name
            );
        }
    }
}

/// A partition as a node sees it.
#[derive(Debug)]
pub struct Partition {
    /// The node that leads it; negative when there is none.
    pub leader: i32,
    /// The nodes that count as in sync.
    pub in_sync: Vec<i32>,
}

/// A client's settings for these brokers.
pub fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // By default the client waits longer each time, up to 10 s, before it connects again.
    config
        .set("bootstrap.servers", servers)
        .set("reconnect.backoff.max.ms", "500")
        .set("log_level", "0");
    config
}

/// The number that a record carries.
///
/// # Errors
/// It carries none.
pub fn number_of(record: &impl Message) -> Result<usize> {
    let text = record
        .payload_view::<str>()
        .context("a record without payload")??;
    Ok(text.parse()?)
}

/// A producer of numbered records of 100 bytes.
pub struct Sender {
    topic: Topic,
    producer: ThreadedProducer<Keeper>,
    next: AtomicUsize,
    start: usize,
    receipts: Arc<Receipts>,
}

struct Keeper(Arc<Receipts>);

impl ClientContext for Keeper {}

impl ProducerContext for Keeper {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Self::DeliveryOpaque) {
        match result {
            Ok(_) => self.0.confirm(*number),
            Err((error, _)) => {
                let code = error.rdkafka_error_code();
                self.0.fail(
                    *number,
                    code.map_or(error.to_string(), |code| format!("{code:?}")),
                );
            }
        }
    }
}

impl Sender {
    /// A producer with these settings.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn new(topic: &Topic, settings: &[(&str, &str)]) -> Result<Self> {
        let receipts = Arc::new(Receipts::default());
        let mut config = config(&topic.servers);
        config.set("linger.ms", "5");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Ok(Self {
            topic: topic.clone(),
            producer: config.create_with_context(Keeper(Arc::clone(&receipts)))?,
            next: AtomicUsize::new(0),
            start: 0,
            receipts,
        })
    }

    /// Numbers the records from here on.
    pub fn start_at(&mut self, start: usize) {
        self.start = start;
        self.next.store(start, Ordering::Relaxed);
    }

    /// The answers so far.
    pub fn receipts(&self) -> &Receipts {
        &self.receipts
    }

    /// How many records were sent.
    pub fn sent(&self) -> usize {
        self.next.load(Ordering::Relaxed) - self.start
    }

    /// Hands records to the client, and waits for none.
    ///
    /// # Errors
    /// The client takes no record.
    pub fn send(&self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.send_one())
    }

    /// The same at a steady rate.
    ///
    /// # Errors
    /// The client takes no record.
    pub fn send_at(&self, per_second: usize, count: usize) -> Result<()> {
        let start = Instant::now();
        for sent in 0..count {
            self.send_one()?;
            let due = Duration::from_secs_f64((sent + 1) as f64 / per_second as f64);
            sleep(due.saturating_sub(start.elapsed()));
        }
        Ok(())
    }

    fn send_one(&self) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let payload = format!("{number:0100}");
        let opaque = Box::new(number);
        let name = &self.topic.name;
        let mut record: BaseRecord<'_, str, str, _> =
            BaseRecord::with_opaque_to(name, opaque).payload(&payload);
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((error, same)) => {
                    let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
                    ensure!(
                        full && Instant::now() < deadline,
                        "sending {number}: {error}"
                    );
                    record = same;
                    sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// Waits until so many records are confirmed.
    ///
    /// # Errors
    /// They are not in time.
    pub fn await_confirmed(&self, count: usize) -> Result<()> {
        wait_for(&format!("{count} confirmed records"), LIMIT, || {
            Ok(self.receipts.confirmed() >= count)
        })
    }

    /// Waits until every record is confirmed or given up.
    ///
    /// # Errors
    /// Some are not in time.
    pub fn settle(&self) -> Result<()> {
        self.producer.flush(LIMIT)?;
        wait_for("an answer to each record", LIMIT, || {
            Ok(self.receipts.answered() >= self.sent())
        })
    }
}
