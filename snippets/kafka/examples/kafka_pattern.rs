//! Subscribes to topics by a regular expression, and to one that is made later.
//!
//! Guarantee: with `group.protocol=consumer` the broker evaluates the expression and finds a new topic
//! by itself. A name without `^` at its start is taken letter by letter.
//!
//! Run: `cargo run --example kafka_pattern`

use std::{collections::BTreeSet, env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode as Code,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{Instant, sleep, timeout};

const BERLIN: &str = "kafka-pattern.orders.berlin";
const MADRID: &str = "kafka-pattern.orders.madrid";
const GROUPS: [&str; 2] = ["kafka-pattern.all", "kafka-pattern.literal"];

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
    let options = AdminOptions::new();
    without_groups(&admin).await?; // left by a run that was cut off
    gone(admin.delete_topics(&[BERLIN, MADRID], &options).await?)?;
    make(&admin, BERLIN).await?;
    let shown = show(&config, &admin).await;
    let groups = without_groups(&admin).await;
    shown.and(groups).and(gone(admin.delete_topics(&[BERLIN, MADRID], &options).await?))
}

// ANCHOR: pattern
async fn show(config: &ClientConfig, admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    send(&producer, BERLIN).await?;
    let all = subscribe(config, GROUPS[0], r"^kafka-pattern\.orders\.[a-z]+$")?;
    println!("^kafka-pattern\\.orders\\.[a-z]+$ reads {:?}", read(&all, 1, 60).await?);
    make(admin, MADRID).await?;
    send(&producer, MADRID).await?;
    println!("a topic made later: {:?}", read(&all, 1, 60).await?);

    let literal = subscribe(config, GROUPS[1], r"kafka-pattern\.orders\.[a-z]+$")?;
    println!("the same without ^: {:?}", read(&literal, 1, 10).await?);
    for refused in ["^(?!kafka-pattern)", "^kafka-pattern[", "^kafka-pattern("] {
        match subscribe(config, GROUPS[1], refused) {
            Err(error) => println!("{refused}: {error}"),
            Ok(_) => println!("{refused}: taken"),
        }
    }
    Ok(())
}
// ANCHOR_END: pattern

/// The topics that records come from: so many, or those of so many seconds.
async fn read(consumer: &StreamConsumer, count: usize, seconds: u64) -> Result<BTreeSet<String>> {
    let (mut topics, end) = (BTreeSet::new(), Instant::now() + Duration::from_secs(seconds));
    while topics.len() < count && Instant::now() < end {
        if let Ok(Ok(record)) = timeout(Duration::from_secs(1), consumer.recv()).await {
            topics.insert(record.topic().to_owned());
        }
    }
    Ok(topics)
}

fn subscribe(config: &ClientConfig, group: &str, topic: &str) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config.set("group.id", group).set("group.protocol", "consumer");
    let consumer: StreamConsumer = config.set("auto.offset.reset", "earliest").create()?;
    Ok(consumer.subscribe(&[topic]).map(|()| consumer)?)
}

async fn make(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<()> {
    let topic = NewTopic::new(topic, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    Ok(())
}

async fn send(producer: &FutureProducer, topic: &str) -> Result<()> {
    let record: FutureRecord<str, _> = FutureRecord::to(topic).payload("an order");
    producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// Deletes the groups when they are empty: a member of a run that was cut off stays for its session.
async fn without_groups(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let deleted = admin.delete_groups(&GROUPS, &AdminOptions::new()).await;
        match deleted.map_err(Into::into).and_then(gone) {
            Err(_) if Instant::now() < deadline => sleep(Duration::from_millis(500)).await,
            ended => return ended,
        }
    }
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
