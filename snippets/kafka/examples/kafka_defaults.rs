//! Asks a broker which settings it has where nobody has set anything.
//!
//! Guarantee: these are the defaults of this broker's version. Holds for what `describe_configs` marks
//! as default; what the broker's own file sets is left out.
//!
//! Run: `cargo run --example kafka_defaults`

use std::{collections::HashMap, env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
        TopicResult,
    },
    client::DefaultClientContext,
    error::RDKafkaErrorCode as Code,
};
use tokio::time::{Instant, sleep};

const TOPIC: &str = "kafka-defaults.orders";
const OF_A_TOPIC: [&str; 13] = [
    "cleanup.policy",
    "delete.retention.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
    "unclean.leader.election.enable",
];
const OF_A_BROKER: [&str; 14] = [
    "default.replication.factor",
    "group.consumer.heartbeat.interval.ms",
    "group.consumer.session.timeout.ms",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "group.share.delivery.count.limit",
    "group.share.record.lock.duration.ms",
    "message.max.bytes",
    "num.partitions",
    "offsets.retention.minutes",
    "replica.lag.time.max.ms",
    "replica.selector.class",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.max.timeout.ms",
];

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    let metadata =
        admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
            format!(
                "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })?;
    let broker = metadata.brokers().first().context("no broker in the answer")?.id();
    let options = AdminOptions::new();
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    println!("a topic");
    let topic = print(&admin, ResourceSpecifier::Topic(TOPIC), &OF_A_TOPIC).await;
    println!("a broker");
    let broker = print(&admin, ResourceSpecifier::Broker(broker), &OF_A_BROKER).await;
    topic.and(broker).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

// ANCHOR: defaults
/// Prints the settings that are defaults.
async fn print(
    admin: &AdminClient<DefaultClientContext>,
    of: ResourceSpecifier<'_>,
    names: &[&str],
) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let entries = loop {
        let answer = admin.describe_configs([&of], &AdminOptions::new()).await?;
        let entries = answer.into_iter().next().context("no answer")??.entries;
        if !entries.is_empty() {
            break entries;
        }
        // A topic that was just made is described with nothing, as is one that is not permitted.
        ensure!(Instant::now() < deadline, "the broker described nothing for 10 s");
        sleep(Duration::from_millis(100)).await;
    };
    let entries: HashMap<_, _> = entries.into_iter().map(|e| (e.name.clone(), e)).collect();
    for name in names {
        let entry = entries.get(*name).with_context(|| format!("{name} is not known"))?;
        match (&entry.source, &entry.value) {
            (ConfigSource::Default, Some(value)) => println!("  {name}={value}"),
            (ConfigSource::Default, None) => println!("  {name} is not set"),
            (source, value) => println!("  {name} is no default here: {value:?}, {source:?}"),
        }
    }
    Ok(())
}
// ANCHOR_END: defaults

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
