//! Deletes the records of a partition before an offset, at once and whatever the retention says.
//!
//! Guarantee: when the broker has answered, no reader gets a record before that offset any more. It
//! can't be undone, and holds for every consumer group.
//!
//! Run: `cargo run --example kafka_delete_records`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPIC: &str = "kafka-delete-records.customers";

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
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config, &admin).await;
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig, admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let producer: FutureProducer = config.clone().set("message.timeout.ms", "10000").create()?;
    for number in 1..=6 {
        let customer = format!("customer-{number}");
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&customer);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    print_bounds("written", admin)?;

    // ANCHOR: delete
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(TOPIC, 0, Offset::Offset(4))?;
    let deleted = admin.delete_records(&before, &AdminOptions::new()).await?;
    for partition in deleted.elements() {
        partition.error()?;
    }
    // ANCHOR_END: delete
    print_bounds("deleted before offset 4", admin)?;

    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", "kafka-delete-records.audit") // never joins: it assigns itself
        .set("enable.auto.commit", "false")
        .create()?;
    let mut beginning = TopicPartitionList::new();
    beginning.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&beginning)?;
    let first = timeout(Duration::from_secs(30), consumer.recv());
    let first = first.await.context("nothing to read within 30 s")??;
    let customer = first.payload_view::<str>().context("no payload")??;
    println!("the first that is read: {customer} at offset {}", first.offset());

    let mut beyond = TopicPartitionList::new();
    beyond.add_partition_offset(TOPIC, 0, Offset::Offset(100))?;
    let refused = admin.delete_records(&beyond, &AdminOptions::new()).await?;
    for partition in refused.elements() {
        match partition.error() {
            Err(error) => println!("deleting before offset 100: {error}"),
            Ok(()) => bail!("records that never were have been deleted"),
        }
    }
    Ok(())
}

/// Prints the first offset that is there and the one that comes next. Blocks for one answer.
fn print_bounds(when: &str, admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let (first, next) = admin.inner().fetch_watermarks(TOPIC, 0, Duration::from_secs(5))?;
    println!("{when}: first offset {first}, next offset {next}");
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
