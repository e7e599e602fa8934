//! Headers and timestamps: written with a record, read back as the broker has them.
//!
//! Guarantee: headers come back in the order in which they were written, with every repetition.
//! The timestamp is the sender's, which holds while the topic has
//! `message.timestamp.type=CreateTime`, its default.
//!
//! Run: `cargo run --example kafka_headers`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset, Timestamp, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
};
use tokio::time;

const ORDERS: &str = "kafka-headers.orders"; // keeps the sender's timestamp
const AUDIT: &str = "kafka-headers.audit"; // puts the broker's own in its place
const PLACED_MS: i64 = 1_767_258_000_000; // 2026-01-01, 09:00 UTC

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

    remove_topics(&admin).await?; // left by a run that was cut off
    // Retention goes by the timestamp: without this an old record is deleted at once.
    let orders = NewTopic::new(ORDERS, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1");
    let audit = NewTopic::new(AUDIT, 1, TopicReplication::Fixed(1))
        .set("message.timestamp.type", "LogAppendTime");
    for created in admin.create_topics([&orders, &audit], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = remove_topics(&admin).await;
    shown.and(cleaned)
}

/// Writes the same record to both topics and reads it back.
async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", "kafka-headers.reader") // a name for the client; nothing is committed
        .set("enable.auto.commit", "false")
        .create()?;

    write(&producer, ORDERS, PLACED_MS).await?;
    let order = read(&consumer, ORDERS).await?;
    println!("headers, in the order of writing");
    for Header { key, value } in order.headers().context("no headers")?.iter() {
        println!("  {key}: {:?}", value.map(String::from_utf8_lossy));
    }
    println!("{ORDERS}: {:?}", order.timestamp());
    drop(order); // borrows from the consumer's queue

    let before = Timestamp::now().to_millis();
    write(&producer, AUDIT, PLACED_MS).await?;
    let entry = read(&consumer, AUDIT).await?;
    match entry.timestamp() {
        Timestamp::LogAppendTime(ms) if ms > PLACED_MS => {
            println!("{AUDIT}: LogAppendTime, the broker's clock");
        }
        other => println!("{AUDIT}: {other:?}"),
    }

    let tomorrow = before.context("no clock")? + 24 * 60 * 60 * 1000;
    match write(&producer, ORDERS, tomorrow).await {
        Ok(()) => println!("dated tomorrow: stored"),
        Err(error) => println!("dated tomorrow: {error}"),
    }
    Ok(())
}

async fn write(producer: &FutureProducer, topic: &str, timestamp: i64) -> Result<()> {
    // ANCHOR: write
    let headers = OwnedHeaders::new()
        .insert(Header { key: "content-type", value: Some("text/plain") })
        .insert(Header { key: "tag", value: Some("gift") })
        .insert(Header { key: "tag", value: Some("express") }) // a second one, not a new value
        .insert(Header { key: "coupon", value: Some("") })
        .insert(Header { key: "referrer", value: None::<&str> });
    let record = FutureRecord::to(topic)
        .key("customer-1")
        .payload("order 1: placed")
        .headers(headers)
        .timestamp(timestamp); // milliseconds since 1970; left out, it is the time of sending
    let receipt = producer.send_result(record).map_err(|(error, _)| error)?;
    receipt.await?.map_err(|(error, _)| error)?;
    // ANCHOR_END: write
    Ok(())
}

/// The first record of the topic, by an assignment of its only partition.
async fn read<'a>(consumer: &'a StreamConsumer, topic: &str) -> Result<BorrowedMessage<'a>> {
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let message = time::timeout(Duration::from_secs(30), consumer.recv()).await;
    Ok(message.with_context(|| format!("no record in {topic} within 30 s"))??)
}

async fn remove_topics(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[ORDERS, AUDIT], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
