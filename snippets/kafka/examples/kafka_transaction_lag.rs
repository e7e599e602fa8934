//! Whether a group that has read everything of a transaction has a lag, by three ways to commit.
//!
//! Guarantee: a lag of 0 after all is read, by the consumer's position or by its own storing of offsets.
//! Storing by hand, record by record, leaves what has no record: the transactions' markers.
//!
//! Run: `cargo run --example kafka_transaction_lag`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, BaseRecord, Producer},
};

const TOPIC: &str = "kafka-transaction-lag.payments";
const GROUPS: [&str; 3] = [
    "kafka-transaction-lag.by-itself",
    "kafka-transaction-lag.by-hand",
    "kafka-transaction-lag.by-position",
];
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as transactions do; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    let options = AdminOptions::new();
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config);
    let groups = gone(admin.delete_groups(&GROUPS, &options).await?);
    shown.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

fn show(config: &ClientConfig) -> Result<()> {
    let mut settings = config.clone();
    settings.set("transactional.id", "kafka-transaction-lag.shop");
    let producer: BaseProducer = settings.create()?;
    producer.init_transactions(LIMIT)?;
    for aborted in [false, false, true, true] {
        producer.begin_transaction()?;
        let record = BaseRecord::<(), str>::to(TOPIC).payload("a payment");
        producer.send(record).map_err(|(error, _)| error)?;
        producer.flush(LIMIT)?;
        match aborted {
            true => producer.abort_transaction(LIMIT)?,
            false => producer.commit_transaction(LIMIT)?,
        }
    }
    println!("2 transactions of one payment committed, 2 aborted");
    for (group, how) in GROUPS.into_iter().zip(["by itself", "by hand", "by position"]) {
        let (committed, end) = read(config, group)?;
        println!("{how}: committed {committed}, end {end}, lag {}", end - committed);
    }
    Ok(())
}

/// Reads to the end; returns the committed offset and the end of the partition.
fn read(config: &ClientConfig, group: &str) -> Result<(i64, i64)> {
    let mut settings = config.clone();
    settings.set("group.id", group).set("auto.offset.reset", "earliest");
    settings.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    // ANCHOR: commit
    let by_hand = group == GROUPS[1];
    settings.set("enable.auto.offset.store", if by_hand { "false" } else { "true" });
    let consumer: BaseConsumer = settings.create()?;
    consumer.subscribe(&[TOPIC])?;
    loop {
        match consumer.poll(LIMIT).transpose() {
            Ok(Some(record)) if by_hand => consumer.store_offset_from_message(&record)?,
            Ok(_) => {} // a record, or a rebalance
            Err(KafkaError::PartitionEOF(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    match group == GROUPS[2] {
        true => consumer.commit(&consumer.position()?, CommitMode::Sync)?,
        false => consumer.commit_consumer_state(CommitMode::Sync)?,
    }
    // ANCHOR_END: commit
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition(TOPIC, 0);
    let committed = consumer.committed_offsets(partitions, LIMIT)?;
    let committed = committed.elements().first().and_then(|place| place.offset().to_raw());
    let (_, end) = consumer.fetch_watermarks(TOPIC, 0, LIMIT)?;
    Ok((committed.context("nothing committed")?, end))
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
