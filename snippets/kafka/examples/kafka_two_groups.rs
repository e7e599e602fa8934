//! A group that has read a topic reads nothing the second time; another group reads all of it.
//!
//! Guarantee: a group continues where it has committed, whatever `auto.offset.reset` says, and no
//! group takes a record from another. Holds while the committed offset is kept: 7 days by default
//! after the last member has left.
//!
//! Run: `cargo run --example kafka_two_groups`

use std::{collections::BTreeSet, env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPIC: &str = "kafka-two-groups.orders";
const PARTITIONS: i32 = 3;
const GROUPS: [&str; 2] = ["kafka-two-groups.group-a", "kafka-two-groups.group-b"];
const ORDERS: usize = 6;

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
    remove_topic(&admin).await?; // left by a run that was cut off, with its groups' offsets
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for number in 1..=ORDERS {
        let (key, order) = (format!("customer-{number}"), format!("order {number}"));
        let record = FutureRecord::to(TOPIC).key(&key).payload(&order);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("{ORDERS} orders in {TOPIC}");

    let [group_a, group_b] = GROUPS;
    for (group, when) in
        [(group_a, "group-a reads"), (group_a, "group-a reads again"), (group_b, "group-b reads")]
    {
        println!("{when}: {} orders", read_to_the_end(config, group).await?);
    }
    Ok(())
}

/// Reads as the only member of a group until every partition's end, commits and leaves.
async fn read_to_the_end(config: &ClientConfig, group: &str) -> Result<usize> {
    // ANCHOR: read
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", group)
        .set("auto.offset.reset", "earliest") // counts only for a group that has committed nothing
        .set("enable.partition.eof", "true")
        .set("session.timeout.ms", "6000") // only for this run; the default is 45 s
        .create()?;
    consumer.subscribe(&[TOPIC])?;

    let mut read = 0;
    let mut ended = BTreeSet::new();
    while ended.len() < PARTITIONS as usize {
        let received = timeout(Duration::from_secs(30), consumer.recv()).await;
        match received.context("neither an order nor an end within 30 s")? {
            Ok(_order) => read += 1,
            Err(KafkaError::PartitionEOF(partition)) => {
                ended.insert(partition);
            }
            Err(error) => return Err(error.into()),
        }
    }
    if read > 0 {
        match consumer.commit_consumer_state(CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {} // done already
            Err(error) => return Err(error.into()),
        }
    }
    // ANCHOR_END: read
    Ok(read)
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
