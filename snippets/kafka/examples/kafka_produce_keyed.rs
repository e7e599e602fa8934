//! Records with the same key go to the same partition, where they keep the order of sending.
//!
//! Guarantee: each printed receipt stands for one record that every in-sync replica has, and the
//! records of one key are stored in the order in which they were sent. Holds with
//! `enable.idempotence`, while all producers use the same partitioner and no partition is added.
//!
//! Run: `cargo run --example kafka_produce_keyed`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};

const TOPIC: &str = "kafka-produce-keyed.truck-positions";
const PARTITIONS: i32 = 3;
const POSITIONS: [(&str, &str); 6] = [
    ("truck-1", "San Francisco"),
    ("truck-2", "Los Angeles"),
    ("truck-3", "New York"),
    ("truck-1", "Oakland"),
    ("truck-2", "Pasadena"),
    ("truck-1", "Berkeley"),
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
    println!("topic {TOPIC}, {PARTITIONS} partitions");
    produce(&config).await?;
    remove_topic(&admin).await
}

/// Sends every position under its truck's key and prints the broker's receipt for each.
async fn produce(config: &ClientConfig) -> Result<()> {
    // ANCHOR: produce
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true") // a retry neither repeats nor reorders
        .set("partitioner", "murmur2_random") // a key's partition as Java chooses it
        .set("message.timeout.ms", "10000") // else a lost broker is reported after 5 minutes
        .create()?;

    let mut receipts = Vec::new();
    for (truck, place) in POSITIONS {
        let record = FutureRecord::to(TOPIC).key(truck).payload(place);
        // Only queues the record. Awaiting each receipt here would send one record at a time.
        receipts.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }

    for ((truck, place), receipt) in POSITIONS.iter().zip(receipts) {
        let stored = receipt.await?.map_err(|(error, _)| error)?;
        let (partition, offset) = (stored.partition, stored.offset);
        println!("{truck} in {place}: partition {partition}, offset {offset}");
    }
    // ANCHOR_END: produce
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
