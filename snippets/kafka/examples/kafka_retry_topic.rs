//! An order that fails is tried again later, without holding up the others, and at last put aside.
//!
//! Guarantee: at least once: each order ends as billed or in the dead-letter topic. Holds because an
//! offset is stored only when the copy in the next topic is acknowledged. The order of a key is lost.
//!
//! Run: `cargo run --example kafka_retry_topic`

use std::{env, time::Duration, time::UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode as Code,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{sleep, timeout};

const ORDERS: &str = "kafka-retry-topic.orders";
const RETRY: &str = "kafka-retry-topic.orders.retry";
const DEAD: &str = "kafka-retry-topic.orders.dead";
const TOPICS: [&str; 3] = [ORDERS, RETRY, DEAD];
const GROUPS: [&str; 2] = ["kafka-retry-topic.billing", "kafka-retry-topic.retry"];
const ATTEMPTS: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(2000); // minutes in real life

type Order<'a> = BorrowedMessage<'a>;

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
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = admin.delete_groups(&GROUPS, &options).await?;
    let topics = admin.delete_topics(&TOPICS, &options).await?;
    shown.and(gone(groups)).and(gone(topics))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    for order in ["order 1", "order 2", "order 3", "order 4"] {
        let record = FutureRecord::to(ORDERS).key(order).payload(order);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("4 orders in {ORDERS}; order 2 fails twice, order 3 always");

    // At the same time: 4 first attempts, and the 4 that orders 2 and 3 have after them.
    let main = work(join(config, GROUPS[0], ORDERS)?, producer.clone());
    let later = work(join(config, GROUPS[1], RETRY)?, producer);
    tokio::try_join!(main, later)?;

    let dead = join(config, GROUPS[1], DEAD)?;
    let order = next(&dead).await?;
    let text = order.payload_view::<str>().context("no payload")??;
    let [failed, reason, origin] =
        ["failed", "reason", "origin"].map(|name| header(&order, name).unwrap_or("missing"));
    println!("in {DEAD}: {text}, failed {failed} times: {reason}");
    println!("  it came from {origin}");
    Ok(())
}

/// Works on four orders. In a service this is a task of its own, without end.
async fn work(from: StreamConsumer, to: FutureProducer) -> Result<()> {
    for _ in 0..4 {
        bill_or_move(&from, &next(&from).await?, &to).await?;
    }
    Ok(())
}

// ANCHOR: retry
/// Bills an order, or moves it to the topic that comes next.
async fn bill_or_move(from: &StreamConsumer, order: &Order<'_>, to: &FutureProducer) -> Result<()> {
    let failed: u32 = header(order, "failed").map_or(Ok(0), str::parse)?;
    let not_before: u64 = header(order, "not-before").map_or(Ok(0), str::parse)?;
    if let Some(wait) = Duration::from_millis(not_before).checked_sub(UNIX_EPOCH.elapsed()?) {
        let partitions = from.assignment()?;
        from.pause(&partitions)?;
        tokio::select! {
            () = sleep(wait) => {}
            // Nothing comes. But who polls stays in the group.
            other = from.recv() => bail!("offset {} of a paused partition", other?.offset()),
        }
        from.resume(&partitions)?;
    }
    if let Err(reason) = bill(order.payload().unwrap_or_default(), failed) {
        let here = format!("{}/{}/{}", order.topic(), order.partition(), order.offset());
        let due = UNIX_EPOCH.elapsed()? + BACK_OFF * 2_u32.pow(failed);
        let headers = OwnedHeaders::new()
            .insert(Header { key: "failed", value: Some(&(failed + 1).to_string()) })
            .insert(Header { key: "reason", value: Some(reason) })
            .insert(Header { key: "origin", value: Some(header(order, "origin").unwrap_or(&here)) })
            .insert(Header { key: "not-before", value: Some(&due.as_millis().to_string()) });
        let topic = if failed + 1 < ATTEMPTS { RETRY } else { DEAD };
        let mut copy: FutureRecord<[u8], [u8]> = FutureRecord::to(topic).headers(headers);
        (copy.key, copy.payload) = (order.key(), order.payload());
        to.send(copy, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    Ok(from.store_offset_from_message(order)?) // billed, or the copy is acknowledged
}
// ANCHOR_END: retry

fn bill(order: &[u8], failed: u32) -> Result<(), &'static str> {
    let billed = match order {
        b"order 2" if failed < 2 => Err("provider busy"),
        b"order 3" => Err("card declined"),
        _ => Ok(()),
    };
    let (order, said) = (String::from_utf8_lossy(order), billed.err().unwrap_or("billed"));
    println!("{order}: {said}, attempt {}", failed + 1);
    billed
}

fn header<'a>(order: &'a Order<'_>, name: &str) -> Option<&'a str> {
    let mut headers = order.headers()?.iter();
    str::from_utf8(headers.find(|header| header.key == name)?.value?).ok()
}

async fn next(consumer: &StreamConsumer) -> Result<Order<'_>> {
    let order = timeout(Duration::from_secs(30), consumer.recv()).await;
    Ok(order.context("no order within 30 s")??)
}

fn join(config: &ClientConfig, group: &str, topic: &str) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config.set("group.id", group).set("auto.offset.reset", "earliest");
    config.set("enable.auto.offset.store", "false").set("session.timeout.ms", "6000");
    let consumer: StreamConsumer = config.create()?;
    Ok(consumer.subscribe(&[topic]).map(|()| consumer)?)
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        let never_was = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound].contains(&code);
        ensure!(never_was, "cannot delete {name}: {code}");
    }
    Ok(())
}
