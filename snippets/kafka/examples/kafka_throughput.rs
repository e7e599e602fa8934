//! 100-byte records in bulk: a threaded producer, a producer with futures, and a consumer.
//!
//! Guarantee: every counted record was stored by all in-sync replicas, once. Holds with
//! `enable.idempotence`, and because the clock stops after the last receipt.
//!
//! Run: `cargo run --example kafka_throughput`

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{collections::VecDeque, env};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError::MessageProduction, RDKafkaErrorCode},
    producer::{
        BaseRecord, DeliveryResult, FutureProducer, FutureRecord, Producer, ProducerContext,
        ThreadedProducer,
    },
};

const TOPIC: &str = "kafka-throughput.log-lines";
const RECORDS: usize = 200_000; // or as many as the program is told: kafka_throughput 1000000
const LINE: &[u8] = &[b'x'; 100];
const GROUP: &str = "kafka-throughput.archive";
const IN_FLIGHT: usize = 20_000;
static STORED: AtomicUsize = AtomicUsize::new(0);

struct Receipts;

impl ClientContext for Receipts {}

impl ProducerContext for Receipts {
    type DeliveryOpaque = ();

    fn delivery(&self, receipt: &DeliveryResult<'_>, (): ()) {
        STORED.fetch_add(usize::from(receipt.is_ok()), Relaxed);
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as do the threaded producer and the consumer; no task is spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    let records = env::args().nth(1).map_or(Ok(RECORDS), |count| count.parse())?;

    let options = AdminOptions::new();
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 3, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let measured = measure(&config, records).await;
    let groups = admin.delete_groups(&[GROUP], &options).await?;
    let topics = admin.delete_topics(&[TOPIC], &options).await?;
    measured.and(gone(groups)).and(gone(topics))
}

async fn measure(config: &ClientConfig, records: usize) -> Result<()> {
    println!("{records} records of 100 bytes, 3 partitions, acks=all");
    let report = |who: &str, start: Instant, count: usize| {
        let rate = count as f64 / start.elapsed().as_secs_f64();
        println!("{who}: {count} records\n  in this run {rate:.0} a second");
    };
    report("threaded", Instant::now(), threaded(config, records)?);
    report("consumer", Instant::now(), consume(config, records)?);
    report("futures", Instant::now(), futures(config, records).await?);
    Ok(())
}

fn threaded(config: &ClientConfig, records: usize) -> Result<usize> {
    // ANCHOR: threaded
    let producer: ThreadedProducer<Receipts> = config
        .clone()
        .set("enable.idempotence", "true")
        .set("queue.buffering.max.messages", "500000") // five times the default
        .create_with_context(Receipts)?;
    for _ in 0..records {
        let mut record = BaseRecord::<(), _>::to(TOPIC).payload(LINE);
        while let Err((error, refused)) = producer.send(record) {
            if error != MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(1)); // receipts make room
            record = refused;
        }
    }
    producer.flush(Duration::from_secs(60))?; // all receipts are here
    // ANCHOR_END: threaded
    ensure!(STORED.load(Relaxed) == records, "some records were not stored");
    Ok(STORED.load(Relaxed))
}

async fn futures(config: &ClientConfig, records: usize) -> Result<usize> {
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    // ANCHOR: window
    let (mut queued, mut stored, mut open) = (0, 0, VecDeque::new());
    while stored < records {
        while queued < records && open.len() < IN_FLIGHT {
            let record = FutureRecord::<(), _>::to(TOPIC).payload(LINE);
            open.push_back(producer.send_result(record).map_err(|(error, _)| error)?);
            queued += 1;
        }
        let oldest = open.pop_front().context("no receipt is open")?;
        oldest.await?.map_err(|(error, _)| error)?;
        stored += 1;
    }
    // ANCHOR_END: window
    Ok(stored)
}

fn consume(config: &ClientConfig, records: usize) -> Result<usize> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000") // only for this run; the default is 45 s
        .set("fetch.queue.backoff.ms", "10") // after a full queue; the default is 1 s
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    let (mut read, deadline) = (0, Instant::now() + Duration::from_secs(60));
    while read < records {
        // None also when something else happened, such as an assignment.
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            read += usize::from(message?.payload_len() == LINE.len());
        }
        ensure!(Instant::now() < deadline, "only {read} records within 60 s");
    }
    Ok(read)
}

/// Whether all of it is gone, or never was.
fn gone(deleted: Vec<TopicResult>) -> Result<()> {
    for deleted in deleted {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((name, code)) => bail!("cannot delete {name}: {code}"),
        }
    }
    Ok(())
}
