//! What happens to a member of a KIP-848 group that polls too late, alone and beside another member.
//!
//! Guarantee: none. With librdkafka 2.12.1 such a member can end with a fatal error, which `recv` tells
//! once; a classic member joins again. A program that looks at `fatal_error` can end and be restarted.
//!
//! Run: `cargo run --example kafka_slow_kip848`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{Instant, sleep, timeout};

const TOPIC: &str = "kafka-slow-kip848.invoices";
const GROUPS: [&str; 3] =
    ["kafka-slow-kip848.classic", "kafka-slow-kip848.alone", "kafka-slow-kip848.two"];
const LIMIT: Duration = Duration::from_secs(60);

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
    let topic = NewTopic::new(TOPIC, 2, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = gone(admin.delete_groups(&GROUPS, &options).await?);
    shown.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    for partition in 0..2 {
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).partition(partition);
        let sent = producer.send(record.payload("an invoice"), Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("a member works for 12 s; max.poll.interval.ms is 6 s");
    eprintln!("about 50 s");
    let (classic, alone, two) = tokio::try_join!(
        too_slow(config, GROUPS[0], "classic", true),
        too_slow(config, GROUPS[1], "consumer", false),
        too_slow(config, GROUPS[2], "consumer", true),
    )?;
    println!("classic, another joins meanwhile: {classic}");
    println!("KIP-848, alone:                   {alone}");
    println!("KIP-848, another joins meanwhile: {two}");
    Ok(())
}

/// What a member gets after it has worked for too long.
async fn too_slow(
    config: &ClientConfig,
    group: &str,
    protocol: &str,
    another: bool,
) -> Result<String> {
    let slow = join(config, group, protocol)?;
    let first = timeout(LIMIT, slow.recv()).await.context("no invoice within 60 s")?;
    drop(first?);
    let working = Instant::now() + Duration::from_secs(12);
    sleep(Duration::from_secs(3)).await;
    let other = if another { Some(join(config, group, protocol)?) } else { None };
    let polls = async {
        while let Some(other) = &other {
            let _ = other.recv().await; // its partitions, its records: only its presence counts
        }
        std::future::pending::<()>().await;
    };
    // ANCHOR: fatal
    let recovers = async {
        tokio::time::sleep_until(working).await; // the work, without a poll
        let (mut seen, deadline) = (Vec::new(), Instant::now() + LIMIT);
        while Instant::now() < deadline {
            match timeout(Duration::from_secs(1), slow.recv()).await {
                Ok(Ok(_)) => return Ok(format!("{}, then an invoice", seen.join(", "))),
                Ok(Err(KafkaError::MessageConsumption(code))) => seen.push(format!("{code:?}")),
                Ok(Err(error)) => seen.push(error.to_string()),
                Err(_) => {} // nothing within a second
            }
            // Told once by `recv`, and then never again: end the process.
            if slow.client().fatal_error().is_some() && seen.len() > 1 {
                let after = timeout(Duration::from_secs(10), slow.recv()).await;
                let after = if after.is_err() { "nothing" } else { "something" };
                return Ok(format!("{}, then {after}", seen.join(", ")));
            }
        }
        bail!("neither an invoice nor a fatal error within 60 s, but {seen:?}")
    };
    // ANCHOR_END: fatal
    tokio::select! {
        told = recovers => told,
        () = polls => bail!("the other member ended"),
    }
}

fn join(config: &ClientConfig, group: &str, protocol: &str) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config.set("group.id", group).set("group.protocol", protocol);
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    if protocol == "classic" {
        config.set("session.timeout.ms", "6000"); // KIP-848 has it in the broker
    }
    let consumer: StreamConsumer = config.set("max.poll.interval.ms", "6000").create()?;
    Ok(consumer.subscribe(&[TOPIC]).map(|()| consumer)?)
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
