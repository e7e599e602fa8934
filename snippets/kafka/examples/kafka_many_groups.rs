//! Several groups read one topic: each gets every record, at its own pace.
//!
//! Guarantee: what one group reads, commits or leaves out changes nothing for another. Holds because
//! a group's position belongs to the group, and reading removes nothing.
//!
//! Run: `cargo run --example kafka_many_groups`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{Instant, timeout};

const TOPIC: &str = "kafka-many-groups.registrations";
const PARTITIONS: usize = 3;
const GROUPS: [&str; 3] =
    ["kafka-many-groups.analytics", "kafka-many-groups.notification", "kafka-many-groups.audit"];
const USERS: usize = 9;

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
    let topic = NewTopic::new(TOPIC, PARTITIONS as i32, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    let [analytics, notification, audit] = GROUPS;
    let mut groups = Vec::new();
    for (group, members) in [(analytics, 1), (notification, 2), (audit, 3)] {
        groups.push(join(config, group, members).await?);
    }
    register_users(config).await?;
    for (group, members) in GROUPS.iter().zip(&groups) {
        let mut partitions = Vec::new();
        for member in members {
            partitions.push(member.assignment()?.count());
        }
        partitions.sort_by(|a, b| b.cmp(a)); // the group decides who has more
        let read = read_all(members).await?;
        println!("{group}: partitions per member {partitions:?}, read {read}");
    }
    Ok(())
}

/// Joins `members` consumers to a group and waits until each has its share.
async fn join(config: &ClientConfig, group: &str, members: usize) -> Result<Vec<StreamConsumer>> {
    let mut consumers: Vec<StreamConsumer> = Vec::new();
    for _ in 0..members {
        let consumer: StreamConsumer = config
            .clone()
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "6000") // only for this run; the default is 45 s
            .create()?;
        consumer.subscribe(&[TOPIC])?;
        consumers.push(consumer);
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut shares = Vec::new();
        for consumer in &consumers {
            // A member takes part in a rebalance only while it polls.
            let _ = timeout(Duration::from_millis(20), consumer.recv()).await;
            shares.push(consumer.assignment()?.count());
        }
        let fair = PARTITIONS.div_ceil(members);
        if shares.iter().sum::<usize>() == PARTITIONS && shares.iter().all(|s| *s <= fair) {
            return Ok(consumers);
        }
        ensure!(Instant::now() < deadline, "{group} did not settle within 30 s");
    }
}

/// Reads with all members of a group until it has seen every record.
async fn read_all(members: &[StreamConsumer]) -> Result<usize> {
    // ANCHOR: read
    let mut read = 0;
    let deadline = Instant::now() + Duration::from_secs(30);
    while read < USERS {
        for member in members {
            while let Ok(registration) = timeout(Duration::from_millis(20), member.recv()).await {
                registration?;
                read += 1;
            }
        }
        ensure!(Instant::now() < deadline, "read {read} of {USERS} within 30 s");
    }
    // ANCHOR_END: read
    Ok(read)
}

async fn register_users(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for number in 0..USERS {
        let user = format!("user {number}");
        let record: FutureRecord<str, _> =
            FutureRecord::to(TOPIC).partition((number % PARTITIONS) as i32).payload(&user);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("{USERS} users registered in {TOPIC}, {PARTITIONS} partitions");
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
