//! A new group starts at the end of a topic and sees nothing of what is already there.
//!
//! Guarantee: a group without a committed offset starts where `auto.offset.reset` says: at the end,
//! unless it is set to `earliest`. Holds for each partition by itself, and only until a commit.
//!
//! Run: `cargo run --example kafka_new_group`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPIC: &str = "kafka-new-group.orders";
const GROUPS: [&str; 2] = ["kafka-new-group.latest", "kafka-new-group.earliest"];

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
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
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
    for order in ["order 1", "order 2", "order 3"] {
        place(&producer, order).await?;
    }
    println!("three orders are in {TOPIC}");

    // ANCHOR: new_group
    let [latest, earliest] = GROUPS;
    let default = join(config, latest, None)?;
    println!("a new group reads {:?}", read_to_the_end(&default).await?);

    place(&producer, "order 4").await?;
    println!("order 4 is placed");
    println!("the group reads {:?}", read_to_the_end(&default).await?);

    let from_the_beginning = join(config, earliest, Some("earliest"))?;
    let orders = read_to_the_end(&from_the_beginning).await?;
    println!("a new group with earliest reads {orders:?}");
    // ANCHOR_END: new_group
    Ok(())
}

fn join(config: &ClientConfig, group: &str, reset: Option<&str>) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config
        .set("group.id", group)
        .set("enable.partition.eof", "true")
        .set("session.timeout.ms", "6000"); // only for this run; the default is 45 s
    if let Some(reset) = reset {
        config.set("auto.offset.reset", reset);
    }
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[TOPIC])?;
    Ok(consumer)
}

/// Reads until the partition's end is reached, which is told once each time.
async fn read_to_the_end(consumer: &StreamConsumer) -> Result<Vec<String>> {
    let mut orders = Vec::new();
    loop {
        let received = timeout(Duration::from_secs(30), consumer.recv()).await;
        match received.context("neither an order nor the end within 30 s")? {
            Ok(message) => {
                let order = message.payload_view::<str>().context("no payload")??;
                orders.push(order.to_owned());
            }
            Err(KafkaError::PartitionEOF(_)) => return Ok(orders),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn place(producer: &FutureProducer, order: &str) -> Result<()> {
    let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(order);
    let sent = producer.send(record, Timeout::Never).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
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
