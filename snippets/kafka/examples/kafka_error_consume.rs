//! What a consumer says when it can't read, and the two cases in which it says nothing.
//!
//! Guarantee: none that silence means health. A subscription to a topic that does not exist is an
//! error with `group.protocol=classic`, the default, and nothing with `group.protocol=consumer`.
//!
//! Run: `cargo run --example kafka_error_consume`

use std::{env, fmt::Display, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use tokio::time::{self, Instant};

const ORDERS: &str = "kafka-error-consume.orders";
const MISSING: &str = "kafka-error-consume.no-such-topic";
const GROUP: &str = "kafka-error-consume.billing";

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

    clean_up(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(ORDERS, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let producer: FutureProducer = config.clone().set("message.timeout.ms", "10000").create()?;
    let order: FutureRecord<'_, str, str> = FutureRecord::to(ORDERS).payload("order 1: placed");
    let sent = producer.send(order, Duration::ZERO).await;
    sent.map_err(|(error, _)| error)?;
    let failed = fail(&admin, &config).await;
    let cleaned = clean_up(&admin).await;
    failed.and(cleaned)
}

async fn fail(admin: &AdminClient<DefaultClientContext>, config: &ClientConfig) -> Result<()> {
    let mut config = config.clone();
    config.set("session.timeout.ms", "6000"); // a killed member is missed after 6 s, not after 45

    // ANCHOR: errors
    println!("refused by the client");
    let groupless: BaseConsumer = config.create()?;
    report("subscribe without group.id", groupless.subscribe(&[ORDERS]));
    config.set("group.id", "");
    report("create, group.id empty", config.create::<StreamConsumer>());
    config.set("group.id", GROUP);
    let idle: BaseConsumer = config.create()?;
    let stored = idle.store_offset(ORDERS, 0, 1);
    report("store an offset, partition not assigned", stored);
    let sought = idle.seek(ORDERS, 0, Offset::Beginning, Duration::from_secs(5));
    report("seek, partition not assigned", sought);
    let committed = idle.commit_consumer_state(CommitMode::Sync);
    report("commit, nothing stored", committed);

    println!("answered by the broker");
    let strict = with(&config, "auto.offset.reset", "error");
    receive("no offset, auto.offset.reset=error", &strict, ORDERS).await?;
    let consumer: StreamConsumer = strict.create()?;
    let mut beyond = TopicPartitionList::new();
    beyond.add_partition_offset(ORDERS, 0, Offset::Offset(1000))?;
    consumer.assign(&beyond)?;
    first("offset 1000 of 1, auto.offset.reset=error", &consumer).await;
    let hasty = with(&config, "session.timeout.ms", "1000");
    receive("session.timeout.ms=1000", &hasty, ORDERS).await?;
    receive("a topic that does not exist", &config, MISSING).await?;
    let mut next = with(&config, "group.protocol", "consumer");
    next.remove("session.timeout.ms");
    receive("the same with group.protocol=consumer", &next, MISSING).await?;

    println!("while another member is in the group");
    let member: StreamConsumer = with(&config, "auto.offset.reset", "earliest").create()?;
    member.subscribe(&[ORDERS])?;
    time::timeout(Duration::from_secs(30), member.recv()).await??;
    config.set("partition.assignment.strategy", "cooperative-sticky");
    receive("join with another strategy", &config, ORDERS).await?;
    for deleted in admin.delete_groups(&[GROUP], &AdminOptions::new()).await? {
        report("delete the group", deleted.map_err(|(_, code)| code));
    }
    // ANCHOR_END: errors
    Ok(())
}

fn with(config: &ClientConfig, name: &str, value: &str) -> ClientConfig {
    config.clone().set(name, value).clone()
}

fn report<T, E: Display>(what: &str, result: Result<T, E>) {
    println!("  {what}");
    match result {
        Ok(_) => println!("      no error"),
        Err(error) => println!("      {error}"),
    }
}

/// Subscribes and prints the first thing that comes.
async fn receive(what: &str, config: &ClientConfig, topic: &str) -> Result<()> {
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    first(what, &consumer).await;
    Ok(())
}

async fn first(what: &str, consumer: &StreamConsumer) {
    match time::timeout(Duration::from_secs(3), consumer.recv()).await {
        Ok(received) => report(what, received),
        Err(_) => println!("  {what}\n      nothing in 3 s"),
    }
}

/// Removes the group, once its last member is gone, and the topic.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(5)));
        let deleted = admin.delete_groups(&[GROUP], &options).await?;
        match deleted.into_iter().next().transpose().map_err(|(_, code)| code) {
            // A broker that has not coordinated any group yet is not a coordinator.
            Ok(_) | Err(RDKafkaErrorCode::GroupIdNotFound | RDKafkaErrorCode::NotCoordinator) => {
                break;
            }
            // A broker that starts has no coordinator for a while.
            Err(
                RDKafkaErrorCode::NonEmptyGroup
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::CoordinatorLoadInProgress,
            ) if Instant::now() < deadline => {
                eprintln!("waiting until {GROUP} can be removed");
                time::sleep(Duration::from_millis(500)).await;
            }
            Err(code) => bail!("cannot delete {GROUP}: {code}"),
        }
    }
    for deleted in admin.delete_topics(&[ORDERS], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
