//! Compaction keeps the last record of each key, and a tombstone removes a key.
//!
//! Guarantee: the last value of each key stays for ever, and its offset with it. Older values go
//! some time after their segment was closed; until then a reader sees several records of a key.
//!
//! Run: `cargo run --example kafka_compaction`

use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

const TOPIC: &str = "kafka-compaction.addresses";
const DAY: i64 = 24 * 60 * 60 * 1000;
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    remove_topic(&admin).await?; // left by a run that was cut off
    let day = DAY.to_string();
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1))
        .set("cleanup.policy", "compact")
        .set("segment.ms", &day) // a record of another day opens a new segment
        .set("min.cleanable.dirty.ratio", "0.01") // compact soon
        .set("delete.retention.ms", "0"); // a tombstone may go at once
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config.clone().set("message.timeout.ms", "10000").create()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let now = i64::try_from(now.as_millis())?;

    // ANCHOR: compaction
    let monday = now - 6 * DAY;
    write(&producer, monday, "customer-1", Some("1 Oak Lane")).await?;
    write(&producer, monday, "customer-2", Some("2 Elm Street")).await?;
    write(&producer, monday, "customer-1", Some("7 Ash Road")).await?;
    write(&producer, monday, "customer-2", None).await?; // the tombstone
    write(&producer, monday, "customer-3", Some("3 Fir Court")).await?;
    print("written on monday", &read_all(config)?);

    // Closes monday's segment: the one that is written to is never compacted.
    write(&producer, now - 4 * DAY, "customer-4", Some("4 Yew Row")).await?;
    let is_compacted = |records: &[String]| records.len() == 4;
    print("compacted", &wait(config, is_compacted)?);

    write(&producer, now - 2 * DAY, "customer-5", Some("5 Bay Walk")).await?;
    let tombstone_is_gone = |records: &[String]| records.len() == 4;
    print("compacted once more", &wait(config, tombstone_is_gone)?);
    // ANCHOR_END: compaction

    let keyless: FutureRecord<'_, str, str> = FutureRecord::to(TOPIC).payload("8 Sea View");
    match producer.send(keyless, Timeout::Never).await {
        Err((error, _)) => println!("without a key: {error}"),
        Ok(_) => bail!("a record without a key was taken"),
    }
    Ok(())
}

fn print(when: &str, records: &[String]) {
    println!("{when}:");
    for record in records {
        println!("  {record}");
    }
}

async fn write(
    producer: &FutureProducer,
    time: i64,
    customer: &str,
    address: Option<&str>,
) -> Result<()> {
    let mut record: FutureRecord<str, str> = FutureRecord::to(TOPIC).key(customer).timestamp(time);
    record.payload = address;
    let sent = producer.send(record, Timeout::Never).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}

/// Reads the topic again and again until it is as it should be.
fn wait(config: &ClientConfig, is_done: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
    eprintln!("waiting for the cleaner, which rests 15 s by default");
    let deadline = Instant::now() + LIMIT;
    loop {
        let records = read_all(config)?;
        if is_done(&records) {
            return Ok(records);
        }
        ensure!(Instant::now() < deadline, "not compacted within 2 minutes: {records:?}");
    }
}

/// Every record of the topic, described.
fn read_all(config: &ClientConfig) -> Result<Vec<String>> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "kafka-compaction.audit") // never joins: it assigns itself
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;
    let mut records = Vec::new();
    let deadline = Instant::now() + LIMIT;
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
            Some(record) => {
                let record = record?;
                let key = record.key_view::<str>().context("no key")??;
                let value = record.payload_view::<str>().transpose()?.unwrap_or("none");
                records.push(format!("offset {}: {key} = {value}", record.offset()));
            }
            None => ensure!(Instant::now() < deadline, "nothing to read within 2 minutes"),
        }
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
