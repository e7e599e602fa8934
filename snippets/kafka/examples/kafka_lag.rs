//! Lists groups with their state and members, and computes the lag of one in each partition.
//!
//! Guarantee: the lag is what the group would read if all its members were started anew: it counts
//! from the committed offset, not from what is being worked on. It is true for the moment of asking.
//!
//! Run: `cargo run --example kafka_lag`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{Instant, timeout};

const TOPIC: &str = "kafka-lag.orders";
const ORDERS: [i32; 3] = [5, 3, 4]; // for each partition
const GROUPS: [&str; 3] = ["kafka-lag.billing", "kafka-lag.kip-848", "kafka-lag.shipping"];
const LIMIT: Duration = Duration::from_secs(5);

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
    let topic = NewTopic::new(TOPIC, ORDERS.len() as i32, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    place_orders(config).await?;
    let member = join(config, GROUPS[0], "classic").await?;
    let mut read = TopicPartitionList::new(); // partition 2 has never been committed
    read.add_partition_offset(TOPIC, 0, Offset::Offset(2))?;
    read.add_partition_offset(TOPIC, 1, Offset::Offset(3))?;
    member.commit(&read, CommitMode::Sync)?; // blocks; nothing else runs
    let _newer = join(config, GROUPS[1], "consumer").await?;
    let other = join(config, GROUPS[2], "classic").await?;
    drop(other); // leaves its group behind, empty

    let monitor: BaseConsumer = config.clone().set("group.id", GROUPS[0]).create()?;
    // ANCHOR: lag
    let groups = monitor.fetch_group_list(None, LIMIT)?;
    let mut own: Vec<_> = groups.groups().iter().filter(|g| GROUPS.contains(&g.name())).collect();
    own.sort_by_key(|group| group.name());
    for group in own {
        let members: Vec<_> = group.members().iter().map(|m| m.client_id()).collect();
        println!("{}: {}, members {members:?}", group.name(), group.state());
    }

    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(TOPIC, 0, ORDERS.len() as i32 - 1);
    // The monitor never joins the group: it only asks for the group's offsets.
    let committed = monitor.committed_offsets(partitions, LIMIT)?;
    for partition in committed.elements() {
        let number = partition.partition();
        let (first, next) = monitor.fetch_watermarks(TOPIC, number, LIMIT)?;
        match partition.offset() {
            Offset::Offset(committed) => {
                let lag = next - committed.max(first);
                println!("partition {number}: committed {committed}, end {next}, lag {lag}");
            }
            _ => println!("partition {number}: nothing committed, {} in it", next - first),
        }
    }
    // ANCHOR_END: lag
    Ok(())
}

/// Joins a group as its only member and waits until it has all partitions.
async fn join(config: &ClientConfig, group: &str, protocol: &str) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config.set("group.id", group).set("group.protocol", protocol).set("client.id", "worker-1");
    config.set("enable.auto.commit", "false");
    if protocol == "classic" {
        config.set("session.timeout.ms", "6000"); // KIP-848 has it in the broker
    }
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[TOPIC])?;
    let deadline = Instant::now() + Duration::from_secs(100);
    while consumer.assignment()?.count() < ORDERS.len() {
        let _ = timeout(Duration::from_millis(20), consumer.recv()).await;
        ensure!(Instant::now() < deadline, "{group} did not settle within 100 s");
    }
    Ok(consumer)
}

async fn place_orders(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for (partition, count) in (0..).zip(ORDERS) {
        for number in 0..count {
            let order = format!("order {number}");
            let record: FutureRecord<str, _> =
                FutureRecord::to(TOPIC).partition(partition).payload(&order);
            let sent = producer.send(record, Timeout::Never).await;
            sent.map_err(|(error, _)| error)?;
        }
    }
    println!("{TOPIC}: {ORDERS:?} orders in its partitions");
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
