//! A record that can't be read must not stop its partition: it is put aside, with the reason.
//!
//! Guarantee: at least once, to the next step or to the dead-letter topic. Holds because an offset
//! is stored only after the record was processed or its copy was acknowledged.
//!
//! Run: `cargo run --example kafka_poison_record`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde::Deserialize;
use tokio::time::timeout;

const TOPIC: &str = "kafka-poison-record.payments";
const DEAD: &str = "kafka-poison-record.payments.dead";
const TOPICS: [&str; 2] = [TOPIC, DEAD];
const GROUPS: [&str; 2] = ["kafka-poison-record.naive", "kafka-poison-record.careful"];
const PAYMENTS: [&str; 4] = [
    r#"{"order": 1, "cents": 1999}"#,
    r#"{"order": 2, "cents": "#, // cut off by whoever sent it
    r#"{"order": 3, "cents": 500}"#,
    r#"{"order": 4, "cents": 4200}"#,
];

#[derive(Deserialize)]
struct Payment {
    order: u32,
    cents: u32,
}

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;

    let options = AdminOptions::new();
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|t| NewTopic::new(t, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = admin.delete_groups(&GROUPS, &options).await?;
    let topics = admin.delete_topics(&TOPICS, &options).await?;
    shown.and(gone(groups)).and(gone(topics))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    for payment in PAYMENTS {
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(payment);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("{} payments in {TOPIC}", PAYMENTS.len());

    let [naive, careful] = GROUPS;
    for start in 1..=3 {
        match consume(config, naive, None).await {
            Ok(()) => println!("naive, start {start}: done"),
            Err(error) => println!("naive, start {start}: {error}"),
        }
    }
    consume(config, careful, Some(&producer)).await?;
    println!("careful: done");
    print_dead(config).await
}

/// Processes payments to the end of the partition. With a producer, what can't be read is put aside.
async fn consume(config: &ClientConfig, group: &str, dead: Option<&FutureProducer>) -> Result<()> {
    let mut by_hand = config.clone();
    by_hand.set("group.id", group).set("session.timeout.ms", "6000"); // by default 45 s
    by_hand.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
    by_hand.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    let consumer: StreamConsumer = by_hand.create()?;
    consumer.subscribe(&[TOPIC])?;
    // ANCHOR: consume
    while let Some(message) = next(&consumer).await? {
        let payload = message.payload().unwrap_or_default();
        match (serde_json::from_slice::<Payment>(payload), dead) {
            (Ok(payment), _) => println!("  paid {}: {} cents", payment.order, payment.cents),
            (Err(error), Some(dead)) => put_aside(dead, &message, &error.to_string()).await?,
            // The offset is not stored: the next start begins with the same record.
            (Err(error), None) => bail!("offset {}: {error}", message.offset()),
        }
        consumer.store_offset_from_message(&message)?;
        consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs
    }
    // ANCHOR_END: consume
    Ok(())
}

/// Copies a record to the dead-letter topic, unchanged, with headers that say why and from where.
async fn put_aside(to: &FutureProducer, bad: &BorrowedMessage<'_>, reason: &str) -> Result<()> {
    let origin = format!("{}/{}/{}", bad.topic(), bad.partition(), bad.offset());
    let headers = bad.headers().map_or_else(OwnedHeaders::new, |h| h.detach());
    let headers = headers
        .insert(Header { key: "reason", value: Some(reason) })
        .insert(Header { key: "origin", value: Some(&origin) });
    let mut record: FutureRecord<[u8], [u8]> = FutureRecord::to(DEAD).headers(headers);
    (record.key, record.payload) = (bad.key(), bad.payload());
    to.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    Ok(())
}

async fn print_dead(config: &ClientConfig) -> Result<()> {
    let mut audit = config.clone();
    audit.set("group.id", "kafka-poison-record.audit").set("enable.auto.commit", "false");
    let consumer: StreamConsumer = audit.set("auto.offset.reset", "earliest").create()?;
    let mut partition = rdkafka::TopicPartitionList::new();
    partition.add_partition(DEAD, 0);
    consumer.assign(&partition)?;
    let message = timeout(Duration::from_secs(30), consumer.recv()).await;
    let message = message.context("nothing is in the dead-letter topic")??;
    println!("in {DEAD}:\n  {}", message.payload_view::<str>().context("no payload")??);
    for header in message.headers().context("no headers")?.iter() {
        println!("  {}: {}", header.key, String::from_utf8_lossy(header.value.unwrap_or_default()));
    }
    Ok(())
}

/// The next payment, or nothing at the end of the partition.
async fn next(consumer: &StreamConsumer) -> Result<Option<BorrowedMessage<'_>>> {
    match timeout(Duration::from_secs(30), consumer.recv()).await {
        Ok(Ok(message)) => Ok(Some(message)),
        Ok(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("no payment within 30 s"),
    }
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        let never_was = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound].contains(&code);
        ensure!(never_was, "cannot delete {name}: {code}");
    }
    Ok(())
}
