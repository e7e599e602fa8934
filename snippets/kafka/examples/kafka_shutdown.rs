//! A consumer that is told to stop finishes the record at hand, commits and leaves its group.
//!
//! Guarantee: the next member continues at the first record that was not processed, and at once.
//! Holds when the last commit is answered before the consumer is dropped.
//!
//! Run: `cargo run --example kafka_shutdown`

use std::{env, pin::pin, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::signal;
use tokio::time::{Instant, sleep, timeout};

const TOPIC: &str = "kafka-shutdown.orders";
const GROUPS: [&str; 1] = ["kafka-shutdown.billing"];
const SESSION: Duration = Duration::from_secs(20); // of this group, so that "at once" has room

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    let options = AdminOptions::new();
    without_group(&admin).await?; // left by a run that was cut off
    gone(admin.delete_topics(&[TOPIC], &options).await?)?;
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    shown.and(without_group(&admin).await).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let mut lasting = config.clone();
    lasting.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = lasting.create()?;
    for number in 1..=9 {
        let order = format!("order {number}");
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&order);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("9 orders in {TOPIC}");

    for commits in [true, false, true] {
        let started = Instant::now();
        let orders = timeout(Duration::from_secs(60), consume(config, commits)).await;
        let orders = orders.context("no three orders within 60 s")??;
        let soon = started.elapsed() < SESSION / 2;
        let waited = if soon { "at once" } else { "after the session timeout" };
        let last = if commits { "commits" } else { "does not commit" };
        println!("starts {waited}, bills {orders:?}, {last}, leaves");
    }
    Ok(())
}

/// Bills orders until it is told to stop.
async fn consume(config: &ClientConfig, commits: bool) -> Result<Vec<String>> {
    let mut billed: Vec<String> = Vec::new();
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
    let mut stop = pin!(stopped());
    let ended = loop {
        let message = tokio::select! {
            biased;
            stopped = &mut stop => break stopped,
            message = consumer.recv() => message,
        };
        match message {
            Err(error) if is_passing(&error) => {}
            Err(error) => break Err(error.into()), // what is done is committed all the same
            // The work is not inside of select: nothing can cut it off.
            Ok(order) => {
                billed.push(String::from_utf8_lossy(order.payload().unwrap_or_default()).into());
                consumer.store_offset_from_message(&order)?;
            }
        }
        if billed.len() == 3 {
            terminate()?; // as a container is stopped; the program does it to itself
            break stop.as_mut().await; // so that this output is the same in every run
        }
    };
    if commits && !billed.is_empty() {
        consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs any more
    }
    drop(consumer); // leaves the group, which need not wait for the session timeout
    // ANCHOR_END: shutdown
    ended.map(|()| billed)
}

/// Ctrl-C, or a container's SIGTERM.
async fn stopped() -> Result<()> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let terminated = terminate.recv();
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        pressed = signal::ctrl_c() => Ok(pressed?),
        _ = terminated => Ok(()),
    }
}

/// Sends SIGTERM to this process.
fn terminate() -> Result<()> {
    let sent = Command::new("sh").args(["-c", "kill -TERM $PPID"]).status().context("needs sh")?;
    ensure!(sent.success(), "the signal could not be sent");
    Ok(())
}

fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, PollExceeded, Resolve};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | PollExceeded | Resolve))
}

/// Deletes the group when it is empty: a member of a run that was cut off stays for its session.
async fn without_group(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    while let Err(error) = gone(admin.delete_groups(&GROUPS, &AdminOptions::new()).await?) {
        ensure!(Instant::now() < deadline, "{error:#}");
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
