//! A consumer pauses its partitions while the work behind it is full, and stays in its group.
//!
//! Guarantee: at least once, in order, and no more than the channel holds waits for the worker. The
//! member keeps polling, so it stays in the group, however slow the worker is.
//!
//! Run: `cargo run --example kafka_pause`

use std::{collections::VecDeque, env, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::OwnedMessage,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

const TOPIC: &str = "kafka-pause.photos";
const GROUPS: [&str; 1] = ["kafka-pause.thumbnails"];
const PHOTOS: usize = 10;
const ROOM: usize = 2;

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
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    upload(&config).await?;
    let consumed = consume(&config).await;
    let groups = gone(admin.delete_groups(&GROUPS, &options).await?);
    consumed.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

async fn consume(config: &ClientConfig) -> Result<()> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", GROUPS[0])
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false") // the worker stores after its work
        .set("session.timeout.ms", "6000") // only for this run; the default is 45 s
        .set("max.poll.interval.ms", "6000") // the least: the first photo takes longer
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    let consumer = Arc::new(consumer);

    let (photos, waiting) = mpsc::channel(ROOM);
    eprintln!("the first photo takes 8 s");
    let worker = tokio::spawn(shrink(waiting, consumer.clone()));
    let (mut read, mut pauses) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    // ANCHOR: pause
    let mut held = VecDeque::new(); // read, and no room for it yet
    while read < PHOTOS || !held.is_empty() {
        tokio::select! {
            room = photos.reserve(), if !held.is_empty() => {
                room?.send(held.pop_front().context("nothing is held")?);
                if held.is_empty() {
                    consumer.resume(&consumer.assignment()?)?;
                }
            }
            // Also polled while it is paused: that keeps the member in the group.
            photo = consumer.recv() => {
                let photo = match photo {
                    Err(error) if is_passing(&error) => continue,
                    photo => photo?.detach(),
                };
                read += 1;
                held.push_back(photo);
                if held.len() > 1 || photos.capacity() == 0 {
                    // Again for each record: those that a rebalance brings are not paused.
                    consumer.pause(&consumer.assignment()?)?;
                    pauses += 1;
                }
            }
            () = sleep_until(deadline) => bail!("{read} photos within 60 s"),
        }
    }
    // ANCHOR_END: pause
    drop(photos); // the worker ends when the channel is empty
    let done = worker.await??;
    let times = if pauses > 1 { "again and again" } else { "hardly ever" };
    println!("room for {ROOM}: paused and resumed {times}");
    let owned = consumer.assignment()?.count();
    println!("8 s of work, a poll due every 6 s: still owns {owned} partition");
    println!("shrunk, in this order: {done:?}");
    Ok(())
}

/// Takes 8 s for the first photo and 50 ms for each of the others.
async fn shrink(
    mut photos: mpsc::Receiver<OwnedMessage>,
    consumer: Arc<StreamConsumer>,
) -> Result<Vec<i64>> {
    let mut done = Vec::new();
    while let Some(photo) = photos.recv().await {
        let work = if done.is_empty() { 8_000 } else { 50 };
        sleep(Duration::from_millis(work)).await;
        match consumer.store_offset(TOPIC, photo.partition(), photo.offset()) {
            Err(KafkaError::StoreOffset(Code::State | Code::UnknownPartition)) => {} // another's now
            stored => stored?,
        }
        done.push(photo.offset());
    }
    Ok(done)
}

async fn upload(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for number in 0..PHOTOS {
        let photo = format!("photo {number}");
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&photo);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("{PHOTOS} photos in {TOPIC}");
    Ok(())
}

fn is_passing(error: &KafkaError) -> bool {
    use Code::{AllBrokersDown, BrokerTransportFailure, PollExceeded, Resolve};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | PollExceeded | Resolve))
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
