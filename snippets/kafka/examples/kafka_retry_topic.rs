//! An order that fails is tried again later, without holding up the others, and at last put aside.
//!
//! Guarantee: at least once: each order ends as billed or in the dead-letter topic. An offset is stored
//! when the copy in the next topic is acknowledged. The order of a key is lost.
//!
//! Run: `cargo run --example kafka_retry_topic`

use std::{env, time::Duration, time::UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage as Order, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const ORDERS: &str = "kafka-retry-topic.orders";
const RETRY: &str = "kafka-retry-topic.orders.retry";
const DEAD: &str = "kafka-retry-topic.orders.dead";
const TOPICS: [&str; 3] = [ORDERS, RETRY, DEAD];
const GROUPS: [&str; 2] = ["kafka-retry-topic.billing", "kafka-retry-topic.retry"];
const OWN: [&str; 4] = ["failed", "reason", "origin", "not-before"];
const ATTEMPTS: u32 = 3;
const LIMIT: Duration = Duration::from_secs(60);
const BACK_OFF: Duration = Duration::from_millis(2000); // minutes in real life

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
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = gone(admin.delete_groups(&GROUPS, &options).await?);
    shown.and(groups).and(gone(admin.delete_topics(&TOPICS, &options).await?))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    for order in ["order 1", "order 2", "order 3", "order 4"] {
        let trace = OwnedHeaders::new().insert(Header { key: "trace", value: Some("t-7") });
        let record = FutureRecord::to(ORDERS).key(order).payload(order).headers(trace);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("4 orders in {ORDERS}; order 2 fails twice, order 3 always");
    let main = work(join(config, GROUPS[0], ORDERS)?, producer.clone());
    let later = work(join(config, GROUPS[1], RETRY)?, producer);
    let both = async { tokio::try_join!(main, later) };
    timeout(LIMIT, both).await.context("not all orders within 60 s")??;
    let dead = join(config, GROUPS[1], DEAD)?;
    let order = timeout(LIMIT, next(&dead)).await.context("no dead letter within 60 s")??;
    let text = order.payload_view::<str>().context("no payload")??;
    let read = |name| header(&order, name).unwrap_or("missing");
    println!("in {DEAD}: {text}, failed {} times: {}", read("failed"), read("reason"));
    println!("  it came from {}\n  its trace is {}", read("origin"), read("trace"));
    Ok(())
}

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
    let due = Duration::from_millis(header(order, "not-before").map_or(Ok(0), str::parse)?);
    while let Some(wait) = due.checked_sub(UNIX_EPOCH.elapsed()?) {
        from.pause(&from.assignment()?)?; // again and again: what a rebalance brings is not paused
        if let Ok(early) = timeout(wait, next(from)).await {
            let early = early?; // polling keeps the member in its group
            from.seek(RETRY, early.partition(), Offset::Offset(early.offset()), LIMIT)?;
        }
    }
    from.resume(&from.assignment()?)?;
    if let Err(reason) = bill(order.payload().unwrap_or_default(), failed) {
        let here = format!("{}/{}/{}", order.topic(), order.partition(), order.offset());
        let due = UNIX_EPOCH.elapsed()? + BACK_OFF * 2_u32.pow(failed);
        let (count, due) = ((failed + 1).to_string(), due.as_millis().to_string());
        let origin = header(order, "origin").unwrap_or(&here);
        let others = order.headers().into_iter().flat_map(Headers::iter);
        let others = others.filter(|other| !OWN.contains(&other.key));
        let headers = others
            .fold(OwnedHeaders::new(), OwnedHeaders::insert) // a trace's id travels along
            .insert(Header { key: "failed", value: Some(&count) })
            .insert(Header { key: "reason", value: Some(reason) })
            .insert(Header { key: "origin", value: Some(origin) })
            .insert(Header { key: "not-before", value: Some(&due) });
        let topic = if failed + 1 < ATTEMPTS { RETRY } else { DEAD };
        let mut copy: FutureRecord<[u8], [u8]> = FutureRecord::to(topic).headers(headers);
        (copy.key, copy.payload) = (order.key(), order.payload());
        to.send(copy, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    match from.store_offset_from_message(order) {
        Err(KafkaError::StoreOffset(Code::State | Code::UnknownPartition)) => Ok(()), // another's now
        stored => Ok(stored?), // billed, or the copy is acknowledged
    }
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
    loop {
        match consumer.recv().await {
            Err(error @ KafkaError::MessageConsumptionFatal(_)) => return Err(error.into()),
            Err(error) => eprintln!("goes on after: {error}"),
            Ok(order) => return Ok(order),
        }
    }
}

fn join(config: &ClientConfig, group: &str, topic: &str) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config.set("group.id", group).set("auto.offset.reset", "earliest");
    config.set("enable.auto.offset.store", "false").set("session.timeout.ms", "6000"); // default 45 s
    let consumer: StreamConsumer = config.create()?;
    Ok(consumer.subscribe(&[topic]).map(|()| consumer)?)
}

fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
