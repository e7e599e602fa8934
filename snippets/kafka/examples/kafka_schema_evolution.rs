//! JSON records that change over time: a change that old readers survive, and one that breaks them.
//!
//! Guarantee: none by Kafka: it stores bytes. Old readers keep working while every field that they
//! need keeps its name and type, and unknown fields are ignored, as serde does by default.
//!
//! Run: `cargo run --example kafka_schema_evolution`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    message::{Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

const TOPIC: &str = "kafka-schema-evolution.orders";

// ANCHOR: versions
#[derive(Debug, Serialize, Deserialize)]
struct OrderV1 {
    id: u32,
    cents: u64,
}

/// Old readers ignore the new field; for old records it has a default.
#[derive(Debug, Serialize, Deserialize)]
struct OrderV2 {
    id: u32,
    cents: u64,
    #[serde(default = "euro")]
    currency: String,
}

/// A field with another name: for old readers `cents` is missing.
#[derive(Debug, Serialize, Deserialize)]
struct OrderV3 {
    id: u32,
    total_cents: u64,
    currency: String,
}

/// A reader that looks at the header first, and turns every version into the one it works with.
fn read_any(version: &str, json: &str) -> serde_json::Result<OrderV2> {
    if version != "3" {
        return serde_json::from_str(json);
    }
    let OrderV3 { id, total_cents: cents, currency } = serde_json::from_str(json)?;
    Ok(OrderV2 { id, cents, currency })
}
// ANCHOR_END: versions

fn euro() -> String {
    "EUR".to_owned()
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
    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    let (cents, currency) = (1999, "USD".to_owned());
    let orders = [
        ("1", serde_json::to_string(&OrderV1 { id: 1, cents })?),
        ("2", serde_json::to_string(&OrderV2 { id: 2, cents, currency: currency.clone() })?),
        ("3", serde_json::to_string(&OrderV3 { id: 3, total_cents: cents, currency })?),
        // From a program that took a string for the amount, and one that had no currency.
        ("4", r#"{"id":4,"cents":"19.99","currency":"USD"}"#.to_owned()),
        ("5", r#"{"id":5,"cents":1999,"currency":null}"#.to_owned()),
    ];
    for (version, json) in &orders {
        let header = Header { key: "schema-version", value: Some(*version) };
        let headers = OwnedHeaders::new().insert(header);
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(json).headers(headers);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }

    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", "kafka-schema-evolution.audit") // never joins: it assigns itself
        .set("enable.auto.commit", "false")
        .create()?;
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;
    for _ in &orders {
        let record = timeout(Duration::from_secs(30), consumer.recv()).await;
        let record = record.context("no record within 30 s")??;
        let version = record.headers().context("no headers")?.get_as::<str>(0)?;
        let version = version.value.context("no version")?;
        let json = record.payload_view::<str>().context("no payload")??;
        println!("version {version}: {json}");
        print_read("old reader", serde_json::from_str::<OrderV1>(json));
        print_read("new reader", serde_json::from_str::<OrderV2>(json));
        print_read("by version", read_any(version, json));
    }
    Ok(())
}

fn print_read(reader: &str, read: serde_json::Result<impl std::fmt::Debug>) {
    match read {
        Ok(order) => println!("  {reader}: {order:?}"),
        Err(error) => println!("  {reader}: {error}"),
    }
}

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
