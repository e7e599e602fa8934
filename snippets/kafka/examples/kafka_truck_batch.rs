//! A batch of truck positions as JSON, each with its own receipt: partition and offset.
//!
//! Guarantee: each printed receipt belongs to the record beside it, which every in-sync replica
//! has. Holds because each record is sent with a receipt of its own; the batches that travel are
//! made by the client.
//!
//! Run: `cargo run --example kafka_truck_batch`

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use serde::Serialize;

const TOPIC: &str = "kafka-truck-batch.truck-gps";
const PARTITIONS: i32 = 3;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    truck_id: &'static str,
    lat: f64,
    lng: f64,
    speed: u32,
}

const fn at(truck_id: &'static str, lat: f64, lng: f64, speed: u32) -> Position {
    Position { truck_id, lat, lng, speed }
}

const BATCH: [Position; 5] = [
    at("truck-1", 37.7749, -122.4194, 65),
    at("truck-2", 34.0522, -118.2437, 72),
    at("truck-1", 37.7751, -122.4180, 63),
    at("truck-3", 40.7128, -74.0060, 55),
    at("truck-2", 34.0525, -118.2440, 70),
];

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
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let produced = produce(&config).await;
    let cleaned = remove_topic(&admin).await;
    produced.and(cleaned)
}

/// Sends the batch and prints the receipts, then how many records each partition got.
async fn produce(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "10000")
        .create()?;

    // ANCHOR: receipts
    let mut sent = Vec::new();
    for position in &BATCH {
        let json = serde_json::to_string(position)?;
        let record = FutureRecord::to(TOPIC).key(position.truck_id).payload(&json);
        let receipt = producer.send_result(record).map_err(|(error, _)| error)?;
        sent.push((position.truck_id, json, receipt)); // a record and its own receipt
    }

    let mut counts: BTreeMap<i32, u32> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    for (key, json, receipt) in sent {
        let stored = receipt.await?.map_err(|(error, _)| error)?;
        *counts.entry(stored.partition).or_default() += 1;
        let (partition, offset) = (stored.partition, stored.offset);
        println!("partition {partition}, offset {offset}, key {key}");
        println!("  {json}");
    }
    // ANCHOR_END: receipts
    for (partition, records) in counts {
        println!("partition {partition}: {records} records");
    }
    Ok(())
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
