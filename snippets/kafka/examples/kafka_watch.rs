//! Three numbers to alert on: the lag of a group, receipts that failed or are late, and partitions
//! that are short of replicas.
//!
//! Guarantee: none of them is an average: one partition that stands still shows. Holds for each
//! moment of asking; a monitor asks every some seconds.
//!
//! Run: `cargo run --example kafka_watch`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::Instant;

const TOPIC: &str = "kafka-watch.orders";
const GROUPS: [&str; 1] = ["kafka-watch.billing"];
const ORDERS: usize = 20;
const LIMIT: Duration = Duration::from_secs(5);
const LATE: Duration = Duration::from_secs(2); // what your caller would wait

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
    remove_topic(&admin).await?; // left by a run that was cut off, with its group's offsets
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    let topic = topic.set("max.message.bytes", "1000"); // the last order is larger
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    println!("{TOPIC}: what to watch");
    let shown = show(&config).await;
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    receipts(config).await?;
    let monitor: BaseConsumer =
        config.clone().set("group.id", GROUPS[0]).set("enable.auto.commit", "false").create()?;
    let mut read = TopicPartitionList::new(); // as if the group had read 15
    read.add_partition_offset(TOPIC, 0, Offset::Offset(15))?;
    monitor.commit(&read, CommitMode::Sync)?;
    // ANCHOR: lag
    let committed = monitor.committed_offsets(read, LIMIT)?;
    for partition in committed.elements() {
        let number = partition.partition();
        let (first, next) = monitor.fetch_watermarks(TOPIC, number, LIMIT)?;
        // Nothing committed: counted from the first record, as with earliest.
        let lag = next - partition.offset().to_raw().unwrap_or(first).max(first);
        println!("lag of partition {number}: {lag}");
    }
    // ANCHOR_END: lag

    // ANCHOR: replicas
    let metadata = monitor.fetch_metadata(Some(TOPIC), LIMIT)?; // None for all topics
    let partitions = || metadata.topics().iter().flat_map(|topic| topic.partitions());
    let short = partitions().filter(|p| p.isr().len() < p.replicas().len());
    println!("partitions with replicas that lag: {}", short.count());
    let dead = partitions().filter(|p| p.leader() < 0);
    println!("partitions without a leader: {}", dead.count());
    // ANCHOR_END: replicas
    Ok(())
}

/// Sends orders and counts the receipts that are errors or come late.
async fn receipts(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    let first: FutureRecord<str, str> = FutureRecord::to(TOPIC).payload("order 0");
    let connected = producer.send(first, Timeout::Never).await; // pays for connecting
    connected.map_err(|(error, _)| error)?;
    // ANCHOR: receipts
    let (mut failed, mut late, mut slowest) = (0, 0, Duration::ZERO);
    for number in 1..=ORDERS {
        let order = "x".repeat(if number == ORDERS { 2_000 } else { 20 });
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&order);
        let sent = Instant::now();
        let receipt = producer.send_result(record).map_err(|(error, _)| error)?;
        if receipt.await?.is_err() {
            failed += 1;
        }
        late += usize::from(sent.elapsed() > LATE);
        slowest = slowest.max(sent.elapsed());
    }
    // ANCHOR_END: receipts
    println!("receipts of {ORDERS} orders: {failed} failed, {late} later than 2 s");
    println!("slowest receipt: {} ms", slowest.as_millis());
    Ok(())
}

/// Removes the topic and the groups, of which some may never have come to be.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_groups(&GROUPS, &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => bail!("cannot delete {group}: {code}"),
        }
    }
    remove_topic(admin).await
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
