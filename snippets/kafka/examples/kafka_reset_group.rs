//! Sets a group back to a moment, so that its members read again from there.
//!
//! Guarantee: the next member of the group starts at the offsets that were set. Holds when the group
//! has no members meanwhile: with members the broker refuses.
//!
//! Run: `cargo run --example kafka_reset_group`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPIC: &str = "kafka-reset-group.orders";
const GROUP: &str = "kafka-reset-group.billing";
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
    remove_topic(&admin).await?; // left by a run that was cut off, with its group's offsets
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1)).set("retention.ms", "-1"); // the orders carry a date
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    place_orders(config).await?;
    let mut group = config.clone();
    group
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("session.timeout.ms", "6000"); // only for this run; the default is 45 s

    let member: StreamConsumer = group.create()?;
    println!("the group reads {:?}", read_and_commit(&member).await?);
    match set_back(&group, NOON + 3 * MINUTE) {
        Err(error) => println!("set back with a member in it: {error}"),
        Ok(offset) => bail!("a group with a member was set to offset {offset}"),
    }
    drop(member);
    println!("set back without one: to offset {}", set_back(&group, NOON + 3 * MINUTE)?);
    let member: StreamConsumer = group.create()?;
    println!("the group reads {:?}", read_and_commit(&member).await?);
    Ok(())
}

// ANCHOR: reset
/// Commits for a group, which it does not join, the offset of a moment. Blocks.
fn set_back(group: &ClientConfig, moment: i64) -> Result<i64> {
    let consumer: BaseConsumer = group.create()?;
    let mut moments = TopicPartitionList::new();
    moments.add_partition_offset(TOPIC, 0, Offset::Offset(moment))?; // and each other partition
    let offsets = consumer.offsets_for_times(moments, LIMIT)?;
    for partition in offsets.elements() {
        partition.error()?;
    }
    let found = offsets.find_partition(TOPIC, 0).context("no answer")?.offset();
    let Offset::Offset(offset) = found else {
        bail!("nothing is as late as that");
    };
    consumer.commit(&offsets, CommitMode::Sync)?;
    Ok(offset)
}
// ANCHOR_END: reset

async fn read_and_commit(consumer: &StreamConsumer) -> Result<Vec<String>> {
    consumer.subscribe(&[TOPIC])?;
    let mut orders = Vec::new();
    loop {
        let received = timeout(LIMIT, consumer.recv()).await;
        match received.context("neither an order nor the end within 30 s")? {
            Ok(message) => {
                orders.push(message.payload_view::<str>().context("no payload")??.to_owned());
            }
            Err(KafkaError::PartitionEOF(_)) => break,
            Err(error) => return Err(error.into()),
        }
    }
    consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs
    Ok(orders)
}

async fn place_orders(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for minute in 0..6 {
        let order = format!("12:0{minute}");
        let record: FutureRecord<str, _> =
            FutureRecord::to(TOPIC).payload(&order).timestamp(NOON + i64::from(minute) * MINUTE);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("6 orders, one a minute, in {TOPIC}");
    Ok(())
}

/// Removes the topic and the group, if the group ever came to be.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_groups(&[GROUP], &AdminOptions::new()).await? {
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
