//! The partitions that clients choose for keys: librdkafka by its default and by murmur2, and the Java
//! client, as Kafka's console producer.

use std::{io::Write, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};

use super::part;
use crate::brokers::Brokers;

/// The topics have 1 to 8 partitions.
const COUNTS: std::ops::RangeInclusive<i32> = 1..=8;

/// How long one step may take.
pub const LIMIT: Duration = Duration::from_secs(60);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let keys: Vec<String> = inputs.iter().map(part).collect::<Result<_>>()?;
    let mut config = ClientConfig::new();
    config.set(
        "bootstrap.servers",
        brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?,
    );
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let mut by_client: Vec<Vec<String>> = Vec::new();
    for client in ["default", "murmur2", "java"] {
        let topics: Vec<_> = COUNTS.map(|n| format!("trace-keys.{client}-{n}")).collect();
        create(&admin, COUNTS.zip(&topics)).await?;
        let mut places = vec![String::new(); keys.len()];
        for topic in &topics {
            let partitions = match client {
                "java" => by_java(brokers, &config, topic, &keys).await?,
                _ => by_librdkafka(&config, client, topic, &keys).await?,
            };
            for (places, partition) in places.iter_mut().zip(partitions) {
                places.push_str(&partition.to_string());
            }
        }
        let names: Vec<_> = topics.iter().map(String::as_str).collect();
        admin.delete_topics(&names, &AdminOptions::new()).await?;
        by_client.push(places);
    }
    let of_key = |index| json!(by_client.iter().map(|c| &c[index]).collect::<Vec<_>>());
    Ok((0..keys.len()).map(of_key).collect())
}

/// Creates topics with so many partitions.
pub async fn create<'a>(
    admin: &AdminClient<DefaultClientContext>,
    topics: impl Iterator<Item = (i32, &'a String)>,
) -> Result<()> {
    let topics: Vec<_> = topics
        .map(|(count, name)| NewTopic::new(name, count, TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(topic, code)| anyhow::anyhow!("cannot create {topic}: {code}"))?;
    }
    Ok(())
}

async fn by_librdkafka(
    config: &ClientConfig,
    client: &str,
    topic: &str,
    keys: &[String],
) -> Result<Vec<i32>> {
    let mut config = config.clone();
    config.set("message.timeout.ms", "30000");
    if client == "murmur2" {
        config.set("partitioner", "murmur2_random");
    }
    let producer: FutureProducer = config.create()?;
    let sent = keys.iter().map(|key| {
        let record = FutureRecord::to(topic).key(key).payload("x");
        producer.send(record, LIMIT)
    });
    let delivered = try_join_all(sent).await.map_err(|(error, _)| error)?;
    Ok(delivered
        .iter()
        .map(|delivery| delivery.partition)
        .collect())
}

/// The console producer reads a line for each record; what it wrote where is read back.
async fn by_java(
    brokers: &Brokers,
    config: &ClientConfig,
    topic: &str,
    keys: &[String],
) -> Result<Vec<i32>> {
    let mut lines = String::new();
    for (number, key) in keys.iter().enumerate() {
        ensure!(
            !key.contains(['\n', '\r']) && !key.contains("->"),
            "the console producer cannot take the key {key:?}"
        );
        lines += &format!("{key}->{number}\n");
    }
    let address = brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?.to_owned();
    let variables = brokers.variables().to_vec();
    let name = topic.to_owned();
    let produced = tokio::task::spawn_blocking(move || {
        let properties = ["parse.key=true", "key.separator=->"];
        let mut child = std::process::Command::new("kafka-console-producer.sh")
            .args(["--bootstrap-server", &address, "--topic", &name])
            .args(properties.iter().flat_map(|p| ["--reader-property", p]))
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start Kafka's console producer")?;
        let mut stdin = child.stdin.take().context("no pipe to it")?;
        stdin.write_all(lines.as_bytes())?;
        drop(stdin);
        ensure!(child.wait()?.success(), "Kafka's console producer failed");
        anyhow::Ok(())
    });
    tokio::time::timeout(LIMIT, produced).await???;
    let (config, topic, count) = (config.clone(), topic.to_owned(), keys.len());
    tokio::task::spawn_blocking(move || read_back(&config, &topic, count)).await?
}

fn read_back(config: &ClientConfig, topic: &str, count: usize) -> Result<Vec<i32>> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", topic)
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[topic])?;
    let mut places = vec![None; count];
    let deadline = std::time::Instant::now() + LIMIT;
    while places.iter().any(Option::is_none) {
        ensure!(
            std::time::Instant::now() < deadline,
            "{topic} does not hold every key"
        );
        let Some(record) = consumer.poll(Duration::from_millis(200)) else {
            continue;
        };
        let record = record?;
        let number = record.payload_view::<str>().context("no payload")??;
        let place: &mut Option<i32> = places
            .get_mut(number.parse::<usize>()?)
            .context("a record of somebody else")?;
        *place = Some(record.partition());
    }
    Ok(places.into_iter().flatten().collect())
}
