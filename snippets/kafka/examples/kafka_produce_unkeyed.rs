//! A record without a key goes to a partition chosen at random, which the next records share.
//!
//! Guarantee: none about the partition, so none about order. Each printed count is taken from the
//! receipts of records that every in-sync replica has.
//!
//! Run: `cargo run --example kafka_produce_unkeyed`

use std::{collections::BTreeSet, env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

const TOPIC: &str = "kafka-produce-unkeyed.log-lines";
const PARTITIONS: i32 = 8;
const LINES: usize = 1000;

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
    println!("{LINES} log lines without a key, sent at once, {PARTITIONS} partitions");
    let compared = compare(&config).await;
    let cleaned = remove_topic(&admin).await;
    compared.and(cleaned)
}

/// Sends the lines with the partition kept for 10 ms, as by default, and kept for no time.
async fn compare(config: &ClientConfig) -> Result<()> {
    for kept_ms in ["10", "0"] {
        let partitions = produce(config, kept_ms).await?;
        let neighbours = || partitions.iter().zip(partitions.iter().skip(1));
        let changes = neighbours().filter(|(one, next)| one != next).count();
        let turns = neighbours().filter(|(one, next)| (*one + 1) % PARTITIONS == **next);
        let used: BTreeSet<&i32> = partitions.iter().collect();

        println!("sticky.partitioning.linger.ms={kept_ms}");
        println!("  partition changed: {}", about(changes));
        println!("  to the next one in turn: {}", about(turns.count()));
        // How many are used while one is kept depends on how long sending took.
        if changes > LINES / 2 {
            println!("  partitions used: {} of {PARTITIONS}", used.len());
        }
    }
    println!("round-robin would change {} times, in turn", LINES - 1);
    Ok(())
}

/// The partition of each line, by its receipt, in the order of sending.
async fn produce(config: &ClientConfig, kept_ms: &str) -> Result<Vec<i32>> {
    // ANCHOR: produce
    let producer: FutureProducer = config
        .clone()
        .set("sticky.partitioning.linger.ms", kept_ms)
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;

    // A partition whose broker is not connected yet is not kept: connect first.
    let first = FutureRecord::<(), _>::to(TOPIC).payload("service started");
    let connected = producer.send(first, Timeout::Never).await;
    connected.map_err(|(error, _)| error)?;

    let mut receipts = Vec::new();
    for number in 1..=LINES {
        let line = format!("GET /orders/{number} 200");
        let record = FutureRecord::<(), _>::to(TOPIC).payload(&line); // () is the key's type
        receipts.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let mut partitions = Vec::new();
    for receipt in receipts {
        let stored = receipt.await?.map_err(|(error, _)| error)?;
        partitions.push(stored.partition);
    }
    // ANCHOR_END: produce
    Ok(partitions)
}

/// The exact number differs from run to run.
fn about(count: usize) -> &'static str {
    match count {
        0..50 => "fewer than 50 times",
        50..=500 => "50 to 500 times",
        _ => "more than 500 times",
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
