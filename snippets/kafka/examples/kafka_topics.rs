//! Creates topics, lists their partitions with leader and replicas, and deletes them.
//!
//! Guarantee: once the answer is there, the topic exists; a broker may learn of it a moment later.
//! Holds for each topic by itself: one call can create some and refuse others.
//!
//! Run: `cargo run --example kafka_topics`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use tokio::time::{Instant, sleep};

const ORDERS: &str = "kafka-topics.orders";
const POSITIONS: &str = "kafka-topics.truck-positions";

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
    remove_topics(&admin).await?; // left by a run that was cut off
    let shown = show(&admin).await;
    let cleaned = remove_topics(&admin).await;
    shown.and(cleaned)
}

async fn show(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    // ANCHOR: create
    let orders = NewTopic::new(ORDERS, 1, TopicReplication::Fixed(1));
    let one_day = "86400000"; // in ms; the default is a week
    let positions =
        NewTopic::new(POSITIONS, 3, TopicReplication::Fixed(1)).set("retention.ms", one_day);
    let named_wrongly = NewTopic::new("kafka-topics.two words", 1, TopicReplication::Fixed(1));
    let again = NewTopic::new(ORDERS, 5, TopicReplication::Fixed(1));
    let alike = NewTopic::new("kafka-topics_orders", 1, TopicReplication::Fixed(1));

    println!("create:");
    for topics in [vec![&orders, &positions, &named_wrongly], vec![&again, &alike]] {
        // The call succeeds even if no topic was created: each has a result of its own.
        for created in admin.create_topics(topics, &AdminOptions::new()).await? {
            match created {
                Ok(topic) => println!("  {topic}: created"),
                Err((topic, code)) => println!("  {topic}: {code}"),
            }
        }
    }
    // ANCHOR_END: create

    wait_for_partitions(admin, ORDERS, 1).await?;
    wait_for_partitions(admin, POSITIONS, 3).await?;
    println!("list:");
    for topic in [ORDERS, POSITIONS] {
        let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(5))?;
        let topic = metadata.topics().first().context("no answer")?;
        println!("  {}, partitions: {}", topic.name(), topic.partitions().len());
        for p in topic.partitions() {
            let (leader, replicas, in_sync) = (p.leader(), p.replicas(), p.isr());
            let number = p.id();
            println!("    {number}: leader {leader}, replicas {replicas:?}, in sync {in_sync:?}");
        }
    }

    println!("delete:");
    for deleted in admin.delete_topics(&[ORDERS, "kafka-topics.gone"], &AdminOptions::new()).await?
    {
        match deleted {
            Ok(topic) => println!("  {topic}: deleted"),
            Err((topic, code)) => println!("  {topic}: {code}"),
        }
    }
    Ok(())
}

/// The controller has answered; a broker learns of it a moment later.
async fn wait_for_partitions(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
    count: usize,
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let metadata = admin.inner().fetch_metadata(Some(topic), Duration::from_secs(5))?;
        let known = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        drop(metadata);
        if known == count {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not {count} partitions of {topic} within 30 s");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn remove_topics(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[ORDERS, POSITIONS], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
