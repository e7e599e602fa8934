//! An order that fails is tried again later, without holding up the others, and at last put aside.
//!
//! Guarantee: at least once: each order ends as billed or in the dead-letter topic. Holds because an
//! offset is stored only when the copy in the next topic is acknowledged. The order of a key is lost.
//!
//! Run: `cargo run --example kafka_retry_topic`

use std::{
    collections::BTreeMap,
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::{sleep, timeout};

const ORDERS: &str = "kafka-retry-topic.orders";
const RETRY: &str = "kafka-retry-topic.orders.retry";
const DEAD: &str = "kafka-retry-topic.orders.dead";
const TOPICS: [&str; 3] = [ORDERS, RETRY, DEAD];
const GROUPS: [&str; 3] = [
    "kafka-retry-topic.billing",
    "kafka-retry-topic.billing-retry",
    "kafka-retry-topic.audit",
];
const COUNT: usize = 4;
const ATTEMPTS: u32 = 3;
const BACK_OFF: Duration = Duration::from_millis(500); // minutes in real life

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    admin
        .inner()
        .fetch_metadata(None, Duration::from_secs(5))
        .with_context(|| {
            format!(
                "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })?;
    remove_topics(&admin).await?; // left by a run that was cut off, with its groups' offsets
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &AdminOptions::new()).await? {
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
    for number in 1..=COUNT {
        send(
            &producer,
            ORDERS,
            &format!("order {number}"),
            &BTreeMap::new(),
        )
        .await?;
    }
    println!("{COUNT} orders in {ORDERS}; order 2 fails twice, order 3 always");

    let left = AtomicUsize::new(COUNT);
    let billing = Billing {
        config,
        producer: &producer,
        left: &left,
    };
    let [main, retry, audit] = GROUPS;
    tokio::try_join!(billing.consume(ORDERS, main), billing.consume(RETRY, retry))?;

    let dead = join(config, DEAD, audit)?;
    let order = timeout(Duration::from_secs(30), dead.recv()).await;
    let order = order.context("nothing is in the dead-letter topic")??;
    println!("in {DEAD}: {}", text(&order)?);
    for (name, value) in headers(&order)
        .iter()
        .filter(|(name, _)| *name != "not-before")
    {
        println!("  {name}: {value}");
    }
    Ok(())
}

struct Billing<'a> {
    config: &'a ClientConfig,
    producer: &'a FutureProducer,
    /// How many orders are neither billed nor given up.
    left: &'a AtomicUsize,
}

impl Billing<'_> {
    async fn consume(&self, topic: &str, group: &str) -> Result<()> {
        let consumer = join(self.config, topic, group)?;
        while self.left.load(Ordering::Relaxed) > 0 {
            // A short wait, to see when the other consumer has settled the last order.
            let Ok(message) = timeout(Duration::from_millis(100), consumer.recv()).await else {
                continue;
            };
            let message = message?;
            self.bill_or_move(&message).await?;
            consumer.store_offset_from_message(&message)?; // billed, or the copy is acknowledged
        }
        Ok(())
    }

    // ANCHOR: retry
    async fn bill_or_move(&self, message: &BorrowedMessage<'_>) -> Result<()> {
        let (order, mut headers) = (text(message)?, headers(message));
        let attempt = headers
            .get("attempt")
            .map_or(Ok(1), |attempt| attempt.parse())?;
        if let Some(time) = headers.get("not-before") {
            // Longer than max.poll.interval.ms? Then pause the partition and keep polling.
            let time = Duration::from_millis(time.parse()?);
            sleep(time.saturating_sub(now()?)).await;
        }
        let Err(error) = bill(&order, attempt) else {
            self.left.fetch_sub(1, Ordering::Relaxed);
            println!("{order}: billed, attempt {attempt}");
            return Ok(());
        };
        println!("{order}: {error}, attempt {attempt}");
        let origin = format!("{}/{}", message.partition(), message.offset());
        headers.entry("origin".into()).or_insert(origin); // the first one stays
        headers.insert("reason".into(), error.to_string());
        if attempt < ATTEMPTS {
            let not_before = now()? + BACK_OFF * 2_u32.pow(attempt - 1);
            headers.insert("attempt".into(), (attempt + 1).to_string());
            headers.insert("not-before".into(), not_before.as_millis().to_string());
            send(self.producer, RETRY, &order, &headers).await
        } else {
            send(self.producer, DEAD, &order, &headers).await?;
            self.left.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        }
    }
    // ANCHOR_END: retry
}

/// A payment provider with two bad days.
fn bill(order: &str, attempt: u32) -> Result<()> {
    match order {
        "order 2" if attempt < 3 => bail!("provider busy"),
        "order 3" => bail!("card declined"),
        _ => Ok(()),
    }
}

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

fn text(message: &BorrowedMessage<'_>) -> Result<String> {
    Ok(message
        .payload_view::<str>()
        .context("no payload")??
        .to_owned())
}

fn headers(message: &BorrowedMessage<'_>) -> BTreeMap<String, String> {
    let text = |h: Header<&[u8]>| String::from_utf8_lossy(h.value.unwrap_or_default()).into_owned();
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    headers
        .map(|header| (header.key.to_owned(), text(header)))
        .collect()
}

async fn send(
    producer: &FutureProducer,
    topic: &str,
    order: &str,
    headers: &BTreeMap<String, String>,
) -> Result<()> {
    let add = |to: OwnedHeaders, (key, value): (&String, &String)| {
        to.insert(Header {
            key,
            value: Some(value),
        })
    };
    let headers = headers.iter().fold(OwnedHeaders::new(), add);
    let record = FutureRecord::to(topic)
        .key(order)
        .payload(order)
        .headers(headers);
    let sent = producer.send(record, Timeout::Never).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}

fn join(config: &ClientConfig, topic: &str, group: &str) -> Result<StreamConsumer> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false")
        .set("session.timeout.ms", "6000")
        .create()?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_groups(&GROUPS, &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => bail!("cannot delete {group}: {code}"),
        }
    }
    remove_topics(admin).await
}

async fn remove_topics(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&TOPICS, &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
