//! Changes one setting of a topic: what rdkafka's call does to the others, and a way that keeps them.
//!
//! Guarantee: after `change` the topic has the setting, and the others as before. Holds because it is
//! read back: the result of `alter_configs` is Ok whatever the broker says.
//!
//! Run: `cargo run --example kafka_change_setting`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic,
        ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};
use tokio::time::{Instant, sleep};

type Admin = AdminClient<DefaultClientContext>;

const TOPIC: &str = "kafka-change-setting.addresses";
const MISSING: &str = "kafka-change-setting.missing";
const DAY: &str = "86400000";
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: Admin = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    let topic = topic.set("cleanup.policy", "compact").set("max.message.bytes", "100000");
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&admin).await;
    let removed = remove_topic(&admin).await;
    shown.and(removed)
}

async fn show(admin: &Admin) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while own_settings(admin, TOPIC).await.is_err() && Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await; // a new topic is not described at once
    }
    println!("made with {}", own_settings(admin, TOPIC).await?.join(" "));
    println!("alter_configs names retention.ms alone: {}", alter(admin, TOPIC, DAY).await?);
    let deadline = Instant::now() + LIMIT;
    while !own_settings(admin, TOPIC).await?.contains(&format!("retention.ms={DAY}")) {
        ensure!(Instant::now() < deadline, "retention.ms did not change within 5 s");
    }
    println!("left: {}", own_settings(admin, TOPIC).await?.join(" "));
    println!("a value that is no number: {}", alter(admin, TOPIC, "a day").await?);
    println!("a topic that is not there: {}", alter(admin, MISSING, DAY).await?);

    for (name, value) in [("cleanup.policy", "compact"), ("retention.ms", "a day")] {
        match change(admin, TOPIC, name, value).await {
            Ok(()) => println!("{name}={value}, described and checked: changed"),
            Err(error) => println!("{name}={value}, described and checked: {error}"),
        }
        println!("left: {}", own_settings(admin, TOPIC).await?.join(" "));
    }
    let missing = change(admin, MISSING, "retention.ms", DAY).await.err();
    println!("{}", missing.context("a missing topic was changed")?);
    Ok(())
}

/// What the call says when it names the retention and nothing else.
async fn alter(admin: &Admin, topic: &str, retention: &str) -> Result<&'static str> {
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("retention.ms", retention);
    let results = admin.alter_configs([&change], &AdminOptions::new()).await?;
    let result = results.into_iter().next().context("no answer")?;
    Ok(if result.is_ok() { "Ok" } else { "an error" })
}

// ANCHOR: change
/// Changes one setting and keeps the others. Not for two that change the same topic at a time.
async fn change(admin: &Admin, topic: &str, name: &str, value: &str) -> Result<()> {
    let before = own_settings(admin, topic).await?;
    let others = before.iter().filter_map(|setting| setting.split_once('='));
    let mut change = AlterConfig::new(ResourceSpecifier::Topic(topic));
    for (other, value) in others {
        change = change.set(other, value); // what is not named is set back to its default
    }
    let change = change.set(name, value);
    // The results are Ok whatever the broker says; only reading back tells, and not at once.
    admin.alter_configs([&change], &AdminOptions::new()).await?;
    let (wanted, deadline) = (format!("{name}={value}"), Instant::now() + LIMIT);
    while !own_settings(admin, topic).await?.contains(&wanted) {
        ensure!(Instant::now() < deadline, "not taken within 5 s");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What was set for this topic itself, as the broker has it.
async fn own_settings(admin: &Admin, topic: &str) -> Result<Vec<String>> {
    let resource = ResourceSpecifier::Topic(topic);
    let answer = admin.describe_configs([&resource], &AdminOptions::new()).await?;
    let entries = answer.into_iter().next().context("no answer")??.entries;
    // Every topic has some thirty. An error of the broker looks like none, and Ok.
    ensure!(!entries.is_empty(), "{topic} has no entries: it is missing, or you may not see it");
    let own = entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let text = |entry: ConfigEntry| format!("{}={}", entry.name, entry.value.unwrap_or_default());
    let mut own: Vec<_> = own.map(text).collect();
    own.sort();
    Ok(own)
}
// ANCHOR_END: change

async fn remove_topic(admin: &Admin) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
