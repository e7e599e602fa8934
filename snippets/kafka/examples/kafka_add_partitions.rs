//! Adds partitions to a topic and shows which keys move.
//!
//! Guarantee: records that are there stay where they are. New records of a key can go elsewhere, so
//! its order across the change is lost. Holds for every partitioner that takes a hash modulo the
//! number of partitions.
//!
//! Run: `cargo run --example kafka_add_partitions`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{Instant, sleep};

const TOPIC: &str = "kafka-add-partitions.orders";
const CUSTOMERS: [&str; 6] =
    ["customer-1", "customer-2", "customer-3", "customer-4", "customer-5", "customer-6"];

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
    let topic = NewTopic::new(TOPIC, 3, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config, &admin).await;
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig, admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    // ANCHOR: add
    let before = place_orders(config).await?;
    let five = NewPartitions::new(TOPIC, 5);
    for changed in admin.create_partitions([&five], &AdminOptions::new()).await? {
        changed.map_err(|(_, code)| code)?;
    }
    wait_for_partitions(admin, TOPIC, 5).await?;
    let after = place_orders(config).await?;

    println!("{TOPIC}: 3 partitions, then 5");
    for (customer, (before, after)) in CUSTOMERS.iter().zip(before.iter().zip(&after)) {
        let change = if before == after { "stays" } else { "moves" };
        println!("{customer}: {change}, partition {before}, then {after}");
    }
    // ANCHOR_END: add
    let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count();
    println!("{moved} of {} keys have records in two partitions", CUSTOMERS.len());

    let fewer = NewPartitions::new(TOPIC, 3);
    for changed in admin.create_partitions([&fewer], &AdminOptions::new()).await? {
        match changed {
            Err((_, code)) => println!("back to 3: {code}"),
            Ok(topic) => bail!("partitions of {topic} were taken away"),
        }
    }
    Ok(())
}

/// Sends one order for each customer and returns where each went. A new producer asks the broker
/// how many partitions there are; one that runs asks again every 5 minutes.
async fn place_orders(config: &ClientConfig) -> Result<Vec<i32>> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "10000")
        .create()?;
    let mut partitions = Vec::new();
    for customer in CUSTOMERS {
        let record = FutureRecord::to(TOPIC).key(customer).payload("an order");
        let sent = producer.send(record, Timeout::Never).await;
        partitions.push(sent.map_err(|(error, _)| error)?.partition);
    }
    Ok(partitions)
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

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
