//! A consumer that is told to stop finishes the record at hand, commits and leaves its group.
//!
//! Guarantee: the next member continues at the first record that was not processed, and at once.
//! Holds when the last commit is answered before the consumer is dropped.
//!
//! Run: `cargo run --example kafka_shutdown`

use std::{env, pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::{
    signal,
    sync::Notify,
    time::{Instant, sleep},
};

const TOPIC: &str = "kafka-shutdown.orders";
const GROUPS: [&str; 1] = ["kafka-shutdown.billing"];
const SESSION: Duration = Duration::from_secs(20); // of this group, so that "at once" has room

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
    for number in 1..=9 {
        let order = format!("order {number}");
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&order);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("9 orders in {TOPIC}");

    for commits in [true, false, true] {
        let started = Instant::now();
        let orders = consume(config, commits).await?;
        let waited = match started.elapsed() < SESSION {
            true => "at once",
            false => "after the session timeout",
        };
        let last = if commits { "commits" } else { "does not commit" };
        println!("starts {waited}, bills {orders:?}, {last}, leaves");
    }
    Ok(())
}

/// Bills orders until it is told to stop, here by its third order.
async fn consume(config: &ClientConfig, commits: bool) -> Result<Vec<String>> {
    let told_to_stop = Notify::new();
    let mut billed = Vec::new();
    // ANCHOR: shutdown
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", GROUPS[0])
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("session.timeout.ms", SESSION.as_millis().to_string())
        .create()?;
    consumer.subscribe(&[TOPIC])?;

    // One future for the whole loop: a new one would miss a signal that came before it.
    let mut stop = pin!(stopped(&told_to_stop));
    loop {
        let message = tokio::select! {
            biased;
            stopped = &mut stop => break stopped?,
            message = consumer.recv() => message?,
            () = sleep(Duration::from_secs(30)) => bail!("no order within 30 s"),
        };
        // The work is not inside of select: nothing can cut it off.
        let order = message.payload_view::<str>().context("no payload")??;
        billed.push(order.to_owned());
        consumer.store_offset_from_message(&message)?;
        if billed.len() == 3 {
            told_to_stop.notify_one();
        }
    }
    if commits && !billed.is_empty() {
        consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs any more
    }
    drop(consumer); // says goodbye, so that the group need not wait for the session timeout
    // ANCHOR_END: shutdown
    Ok(billed)
}

/// Ctrl-C, a container's SIGTERM, or whatever else tells a service to stop.
async fn stopped(told: &Notify) -> Result<()> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let terminated = terminate.recv();
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        pressed = signal::ctrl_c() => Ok(pressed?),
        _ = terminated => Ok(()),
        () = told.notified() => Ok(()),
    }
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
