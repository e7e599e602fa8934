//! An order that fails is tried again later, without holding up the others, and at last put aside.
//!
//! Guarantee: at least once: each order ends as billed or in the dead-letter topic. Holds because an
//! offset is stored only when the copy in the next topic is acknowledged. The order of a key is lost.
//!
//! Run: `cargo run --example kafka_retry_topic`

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

const ORDERS: &str = "kafka-retry-topic.orders";
const RETRY: &str = "kafka-retry-topic.orders.retry";
const DEAD: &str = "kafka-retry-topic.orders.dead";
const TOPICS: [&str; 3] = [ORDERS, RETRY, DEAD];
const GROUP: &str = "kafka-retry-topic.billing";
const COUNT: usize = 4;
const ATTEMPTS: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(500); // minutes in real life
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Default, Serialize, Deserialize)]
struct Attempts {
    failed: u32,
    not_before_ms: u64,
    reason: String,
}

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
    gone(admin.delete_groups(&[GROUP], &options).await?)?;
    gone(admin.delete_topics(&TOPICS, &options).await?)?;
    shown
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for number in 1..=COUNT {
        send(&producer, ORDERS, &format!("order {number}"), &Attempts::default()).await?;
    }
    println!("{COUNT} orders in {ORDERS}; order 2 fails twice, order 3 always");
    // In a service these are two tasks. One after the other they print the same each time.
    let mut left = COUNT;
    for (topic, orders) in [(ORDERS, COUNT), (RETRY, usize::MAX)] {
        let (consumer, mut read) = (join(config, topic)?, 0);
        while left > 0 && read < orders {
            left -= bill_next(&consumer, &producer).await?;
            read += 1;
        }
    }
    let dead = join(config, DEAD)?;
    let order = timeout(LIMIT, dead.recv()).await.context("no dead letter within 30 s")??;
    let Attempts { failed, reason, .. } = attempts(&order)?;
    let order = order.payload_view::<str>().context("no payload")??;
    println!("in {DEAD}: {order}, failed {failed} times: {reason}");
    Ok(())
}

// ANCHOR: retry
/// Bills an order or moves it on. Returns how many are settled by that.
async fn bill_next(consumer: &StreamConsumer, producer: &FutureProducer) -> Result<usize> {
    let message = timeout(LIMIT, consumer.recv()).await.context("no order within 30 s")??;
    let tried = attempts(&message)?;
    let order = message.payload_view::<str>().context("no payload")??;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let due = Duration::from_millis(tried.not_before_ms);
    // Longer than max.poll.interval.ms? Then pause the partition and keep polling.
    sleep(due.saturating_sub(now)).await;
    let mut settled = true;
    if let Err(error) = bill(order, tried.failed) {
        println!("{order}: {error}, attempt {}", tried.failed + 1);
        let not_before = now.max(due) + BACK_OFF * 2_u32.pow(tried.failed);
        let tried = Attempts {
            failed: tried.failed + 1,
            not_before_ms: not_before.as_millis().try_into()?,
            reason: error.to_string(),
        };
        settled = tried.failed == ATTEMPTS;
        send(producer, if settled { DEAD } else { RETRY }, order, &tried).await?;
    } else {
        println!("{order}: billed, attempt {}", tried.failed + 1);
    }
    consumer.store_offset_from_message(&message)?; // billed, or the copy is acknowledged
    Ok(usize::from(settled))
}
// ANCHOR_END: retry

fn bill(order: &str, failed: u32) -> Result<()> {
    match order {
        "order 2" if failed < 2 => bail!("provider busy"),
        "order 3" => bail!("card declined"),
        _ => Ok(()),
    }
}

fn attempts(message: &BorrowedMessage<'_>) -> Result<Attempts> {
    let json = message.headers().and_then(|headers| headers.get(0).value);
    Ok(serde_json::from_slice(json.context("no header `attempts`")?)?)
}

async fn send(producer: &FutureProducer, to: &str, order: &str, tried: &Attempts) -> Result<()> {
    let value = Some(serde_json::to_string(tried)?);
    let headers = OwnedHeaders::new().insert(Header { key: "attempts", value: value.as_ref() });
    let record = FutureRecord::to(to).key(order).payload(order).headers(headers);
    producer.send(record, Timeout::Never).await.map(drop).map_err(|(error, _)| error.into())
}

fn join(config: &ClientConfig, topic: &str) -> Result<StreamConsumer> {
    let mut config = config.clone();
    config.set("group.id", GROUP).set("auto.offset.reset", "earliest");
    config.set("enable.auto.offset.store", "false").set("session.timeout.ms", "6000");
    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        let never_was = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound].contains(&code);
        ensure!(never_was, "cannot delete {name}: {code}");
    }
    Ok(())
}
