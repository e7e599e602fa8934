//! The same keys by two hash functions: librdkafka's default, and the one that Java uses.
//!
//! Guarantee: with `partitioner=murmur2_random` a key's partition is the one that a Java producer
//! with default settings chooses. Holds for records that have a key, while the number of
//! partitions stays the same.
//!
//! Run: `cargo run --example kafka_partitioners`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};

const TOPIC: &str = "kafka-partitioners.payments";
const PARTITIONS: i32 = 3;
const KEYS: [&str; 6] =
    ["customer-1", "customer-2", "customer-3", "customer-4", "customer-5", "customer-6"];

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
    let compared = compare(&config).await;
    let cleaned = remove_topic(&admin).await;
    compared.and(cleaned)
}

/// Sends a payment of every customer with each partitioner and prints where they are.
async fn compare(config: &ClientConfig) -> Result<()> {
    let crc32 = place(config, "consistent_random").await?;
    let murmur2 = place(config, "murmur2_random").await?;

    println!("partition of        CRC32  murmur2  Java's formula");
    let (mut split, mut as_java) = (0, 0);
    for (key, (crc32, murmur2)) in KEYS.iter().zip(crc32.into_iter().zip(murmur2)) {
        let java = java_partition(key.as_bytes());
        println!("{key:<18}  {crc32:>5}  {murmur2:>7}  {java:>14}");
        split += usize::from(crc32 != murmur2);
        as_java += usize::from(murmur2 == java);
    }
    println!("{split} of {} keys are now in two partitions", KEYS.len());
    println!("{as_java} of {} by murmur2_random are where Java puts them", KEYS.len());
    Ok(())
}

/// The partition of each key, by the broker's receipts.
async fn place(config: &ClientConfig, partitioner: &str) -> Result<Vec<i32>> {
    // ANCHOR: place
    let producer: FutureProducer = config
        .clone()
        .set("partitioner", partitioner)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    let mut partitions = Vec::new();
    for key in KEYS {
        let record = FutureRecord::to(TOPIC).key(key).payload("paid");
        let receipt = producer.send_result(record).map_err(|(error, _)| error)?;
        partitions.push(receipt.await?.map_err(|(error, _)| error)?.partition);
    }
    // ANCHOR_END: place
    Ok(partitions)
}

// ANCHOR: java
/// `Utils.toPositive(Utils.murmur2(key)) % partitions`, as Kafka's Java client has it.
fn java_partition(key: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = word.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
        k = k.wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        hash ^= rest.iter().rev().fold(0, |k, byte| k << 8 | u32::from(*byte));
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^= hash >> 15;
    (hash & 0x7fff_ffff) as i32 % PARTITIONS
}
// ANCHOR_END: java

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
