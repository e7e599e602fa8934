//! A topic is deleted and made again under its name, while a consumer reads it.
//!
//! Guarantee: none. A consumer has a place, a number; the new topic numbers from 0. What lies before the
//! place is skipped without an error, and without a line in the client's log.
//!
//! Run: `cargo run --example kafka_topic_again`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode as Code,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use std::time::Instant;

const TOPIC: &str = "kafka-topic-again.orders";
const GROUP: &str = "kafka-topic-again.billing";

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
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let shown = show(&config, &admin).await;
    let groups = gone(admin.delete_groups(&[GROUP], &options).await?);
    shown.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

// ANCHOR: again
async fn show(config: &ClientConfig, admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    make(admin).await?;
    send(&producer, 1..=50).await?;
    let mut settings = config.clone();
    settings.set("group.id", GROUP).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = settings.create()?;
    consumer.subscribe(&[TOPIC])?;
    println!("sent 1 to 50, read {}", read(&consumer, 50)?);

    consumer.pause(&consumer.assignment()?)?; // as a consumer does whose worker is slow
    gone(admin.delete_topics(&[TOPIC], &AdminOptions::new()).await?)?;
    make(admin).await?;
    // The first one may still believe that the topic is gone.
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    send(&producer, 101..=200).await?;
    consumer.resume(&consumer.assignment()?)?;
    println!("deleted and made again; sent 101 to 200, read {}", read(&consumer, 200)?);
    Ok(())
}
// ANCHOR_END: again

async fn make(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    Ok(())
}

async fn send(producer: &FutureProducer, orders: impl Iterator<Item = u32>) -> Result<()> {
    for order in orders {
        let order = order.to_string();
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&order);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// Reads up to an order and says which orders and errors came. Blocks; nothing else runs.
fn read(consumer: &BaseConsumer, last: u32) -> Result<String> {
    let (mut orders, mut errors) = (Vec::new(), 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    while orders.last() != Some(&last) {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(record)) => {
                orders.push(record.payload_view::<str>().context("empty")??.parse()?)
            }
            Some(Err(_)) => errors += 1,
            None if Instant::now() < deadline => {}
            None => bail!("order {last} did not come within 60 s"),
        }
    }
    let first = orders.first().context("nothing came")?;
    Ok(format!("{first} to {last}, {} of them, errors: {errors}", orders.len()))
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
