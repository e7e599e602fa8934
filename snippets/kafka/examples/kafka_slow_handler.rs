//! A handler that is slower than `max.poll.interval.ms` loses its partition, and its work is done
//! twice.
//!
//! Guarantee: a partition has one owner, so the slow one can't commit any more. Its work is not
//! undone. Holds for every consumer that does not poll within the interval, 5 minutes by default.
//!
//! Run: `cargo run --example kafka_slow_handler`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    message::BorrowedMessage,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{sleep, timeout};

const TOPIC: &str = "kafka-slow-handler.invoices";
const GROUPS: [&str; 1] = ["kafka-slow-handler.printing"];

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
    remove_topic(&admin).await?; // left by a run that was cut off, with its group's offsets
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
    let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload("invoice 1");
    let sent = producer.send(record, Timeout::Never).await;
    sent.map_err(|(error, _)| error)?;

    // ANCHOR: slow
    let slow = join(config)?;
    let invoice = next(&slow).await?;
    println!("the slow member prints {}, for 8 s", text(&invoice)?);
    eprintln!("8 s of work without a poll");
    sleep(Duration::from_secs(8)).await;

    let other = join(config)?;
    let again = next(&other).await?;
    println!("another member prints {} as well", text(&again)?);
    other.commit_message(&again, CommitMode::Sync)?;

    match slow.commit_message(&invoice, CommitMode::Sync) {
        Err(error) => println!("the slow member commits: {error}"),
        Ok(()) => bail!("the slow member could still commit"),
    }
    match next(&slow).await {
        Err(error) => println!("it polls: {error}"),
        Ok(_) => bail!("the slow member was given a record"),
    }
    // ANCHOR_END: slow
    Ok(())
}

fn join(config: &ClientConfig) -> Result<StreamConsumer> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", GROUPS[0])
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("max.poll.interval.ms", "6000") // the least; 5 minutes by default
        .set("session.timeout.ms", "6000") // only for this run; the default is 45 s
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    Ok(consumer)
}

async fn next(consumer: &StreamConsumer) -> Result<BorrowedMessage<'_>> {
    let received = timeout(Duration::from_secs(30), consumer.recv()).await;
    Ok(received.context("no invoice within 30 s")??)
}

fn text<'a>(message: &'a BorrowedMessage<'_>) -> Result<&'a str> {
    Ok(message.payload_view::<str>().context("no payload")??)
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
