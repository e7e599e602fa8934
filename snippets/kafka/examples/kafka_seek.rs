//! Reads a partition again from an offset, from a moment, from the beginning.
//!
//! Guarantee: every record that is still in the log can be read again, as often as you like, and the
//! read changes nothing in it. Holds as far back as retention and compaction have left records.
//!
//! Run: `cargo run --example kafka_seek`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPIC: &str = "kafka-seek.orders";
const LIMIT: Duration = Duration::from_secs(30);
const NOON: i64 = 1_793_534_400_000; // 1 November 2026, 12:00 UTC, in ms since 1970
const MINUTE: i64 = 60_000;

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
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1"); // the orders carry a date
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
    for number in 0..6 {
        let order = format!("order of 12:0{number}");
        let record: FutureRecord<str, _> =
            FutureRecord::to(TOPIC).payload(&order).timestamp(NOON + i64::from(number) * MINUTE);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }

    let consumer = reader(config, "error")?;
    // ANCHOR: seek
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;
    println!("from the beginning: {}", next(&consumer).await?);

    // A seek blocks for one answer, and needs a partition that is assigned.
    consumer.seek(TOPIC, 0, Offset::Offset(4), LIMIT)?;
    println!("from offset 4: {}", next(&consumer).await?);

    // Blocks as well: the first offset at or after a moment.
    let mut moment = TopicPartitionList::new();
    let past_12_02 = NOON + 2 * MINUTE + MINUTE / 2;
    moment.add_partition_offset(TOPIC, 0, Offset::Offset(past_12_02))?;
    let found = consumer.offsets_for_times(moment, LIMIT)?;
    let found = found.find_partition(TOPIC, 0).context("no answer")?.offset();
    consumer.seek(TOPIC, 0, found, LIMIT)?;
    println!("from 12:02:30 on: {}", next(&consumer).await?);

    consumer.seek(TOPIC, 0, Offset::OffsetTail(2), LIMIT)?;
    println!("the last two: {}, {}", next(&consumer).await?, next(&consumer).await?);
    // ANCHOR_END: seek

    consumer.seek(TOPIC, 0, Offset::Offset(100), LIMIT)?;
    match next(&consumer).await {
        Err(error) => println!("from offset 100: {error}"),
        Ok(order) => bail!("there is an order at offset 100: {order}"),
    }
    for reset in ["latest", "earliest"] {
        let other = reader(config, reset)?;
        let mut beyond = TopicPartitionList::new();
        beyond.add_partition_offset(TOPIC, 0, Offset::Offset(100))?;
        other.assign(&beyond)?;
        println!("the same with {reset}: {}", next(&other).await?);
    }
    Ok(())
}

fn reader(config: &ClientConfig, reset: &str) -> Result<StreamConsumer> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", "kafka-seek.audit") // never joins: it assigns itself
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", reset)
        .create()?;
    Ok(consumer)
}

async fn next(consumer: &StreamConsumer) -> Result<String> {
    let message = timeout(LIMIT, consumer.recv()).await;
    let message = match message.context("neither an order nor the end within 30 s")? {
        Err(KafkaError::PartitionEOF(_)) => return Ok("nothing but the end".to_owned()),
        message => message?,
    };
    let order = message.payload_view::<str>().context("no payload")??;
    Ok(format!("{order} at offset {}", message.offset()))
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
