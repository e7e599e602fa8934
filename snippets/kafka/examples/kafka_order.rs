//! The same job as in the other systems: three services get each order, one retries, one sets aside an
//! order that never works, and a fourth joins late and wants the history.
//!
//! Guarantee: at least once for each service, in order within the partition: a retry holds up what is
//! behind it. What is set aside is in the dead-letter topic before the next order is taken.
//!
//! Run: `cargo run --example kafka_order`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const ORDERS: &str = "kafka-order.orders";
const DEAD: &str = "kafka-order.dead";
const SERVICES: [&str; 3] = ["inventory", "billing", "shipping"];
const GROUPS: [&str; 5] = [
    "kafka-order.inventory",
    "kafka-order.billing",
    "kafka-order.shipping",
    "kafka-order.fraud",
    "kafka-order.audit",
];
const ATTEMPTS: u32 = 3;

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
    gone(admin.delete_topics(&[ORDERS, DEAD], &options).await?)?; // left by a run that was cut off
    let topics = [ORDERS, DEAD].map(|t| NewTopic::new(t, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = admin.delete_groups(&GROUPS, &options).await?;
    let topics = admin.delete_topics(&[ORDERS, DEAD], &options).await?;
    shown.and(gone(groups)).and(gone(topics))
}

// ANCHOR: job
async fn show(config: &ClientConfig) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    for order in ["order 17", "order 18", "order 19"] {
        send(&producer, ORDERS, order, OwnedHeaders::new()).await?;
    }
    println!("placed: order 17, order 18, order 19");
    for service in SERVICES {
        println!("{service}: {}", serve(config, service, ORDERS, &producer).await?.join(", "));
    }
    println!("set aside: {}", serve(config, "audit", DEAD, &producer).await?.join(", "));
    send(&producer, ORDERS, "order 20", OwnedHeaders::new()).await?;
    let history = serve(config, "fraud", ORDERS, &producer).await?;
    println!("fraud check, joining before order 20: {}", history.join(", "));
    Ok(())
}

/// Handles what is in a topic as one consumer group; returns what was done.
async fn serve(
    config: &ClientConfig,
    service: &str,
    topic: &str,
    producer: &FutureProducer,
) -> Result<Vec<String>> {
    let mut by_hand = config.clone();
    by_hand.set("group.id", format!("kafka-order.{service}")).set("enable.partition.eof", "true");
    by_hand.set("auto.offset.reset", "earliest").set("enable.auto.offset.store", "false");
    by_hand.set("enable.auto.commit", "false").set("session.timeout.ms", "6000"); // by default 45 s
    let consumer: StreamConsumer = by_hand.create()?;
    consumer.subscribe(&[topic])?;
    let mut done = Vec::new();
    while let Some(message) = next(&consumer).await? {
        let order = message.payload_view::<str>().context("no payload")??;
        for attempt in 1..=ATTEMPTS {
            let Err(why) = handle(service, order, attempt) else {
                done.push(order.to_owned());
                break;
            };
            println!("{service}: {order}, attempt {attempt}: {why}"); // then wait, in production
            if attempt == ATTEMPTS {
                let origin = format!("{topic}/{}/{}", message.partition(), message.offset());
                let notes = OwnedHeaders::new().insert(Header { key: "reason", value: Some(why) });
                let notes = notes.insert(Header { key: "origin", value: Some(&origin) });
                send(producer, DEAD, order, notes).await?;
            }
        }
        consumer.store_offset_from_message(&message)?;
        consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs
    }
    Ok(done)
}
// ANCHOR_END: job

/// What a service does with an order: it fails as it would on a bad day. `attempt` counts from 1.
fn handle(service: &str, order: &str, attempt: u32) -> Result<(), &'static str> {
    match (service, order) {
        ("billing", "order 18") if attempt < 3 => Err("the card service is busy"),
        ("shipping", "order 19") => Err("there is no address"),
        _ => Ok(()),
    }
}

async fn send(to: &FutureProducer, topic: &str, order: &str, notes: OwnedHeaders) -> Result<()> {
    let record: FutureRecord<str, _> = FutureRecord::to(topic).payload(order).headers(notes);
    to.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// The next order, or nothing at the end of the partition.
async fn next(consumer: &StreamConsumer) -> Result<Option<BorrowedMessage<'_>>> {
    match timeout(Duration::from_secs(30), consumer.recv()).await {
        Ok(Ok(message)) => Ok(Some(message)),
        Ok(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("no order within 30 s"),
    }
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
