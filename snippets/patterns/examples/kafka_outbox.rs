//! A transactional outbox: an order and its event in one transaction of a database, a relay to Kafka.
//!
//! Guarantee: each committed order's event is sent at least once, and in order; an order that was
//! rolled back has none. A relay that dies sends an event again: readers know it by its id.
//!
//! Run: `cargo run --example kafka_outbox`

use std::{env, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use rusqlite::Connection;
use tokio::time::timeout;

const TOPICS: [&str; 1] = ["kafka-outbox.orders"];

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
    let folder = tempfile::Builder::new().prefix("kafka-outbox-").tempdir()?;
    let shown = show(&config, &folder.path().join("orders.sqlite")).await;
    shown.and(gone(admin.delete_topics(&TOPICS, &options).await?))
}

async fn show(config: &ClientConfig, file: &Path) -> Result<()> {
    let mut database = Connection::open(file).context("cannot open the database")?;
    database.execute_batch(
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER CHECK (amount > 0));
         CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, -- the event's id: never again
             key TEXT, event TEXT, sent INTEGER DEFAULT 0);",
    )?;
    for (order, amount) in [(17, 90), (18, 0), (19, 25)] {
        match place(&mut database, order, amount) {
            Ok(()) => println!("order {order}: placed"),
            Err(error) => println!("order {order}: rolled back: {error}"),
        }
    }
    let dies = relay(config, &Connection::open(file)?, Some(1)).await?;
    println!("relay: sent {dies}, and dies before it notes the last");
    println!("relay, started anew: sent {}", relay(config, &Connection::open(file)?, None).await?);
    read(config).await
}

// ANCHOR: outbox
/// The order and what is to be told of it: both, or neither.
fn place(database: &mut Connection, order: i64, amount: i64) -> Result<()> {
    let transaction = database.transaction()?;
    let event = format!("order {order} placed");
    transaction
        .execute("INSERT INTO outbox (key, event) VALUES (?1, ?2)", (order.to_string(), event))?;
    transaction.execute("INSERT INTO orders VALUES (?1, ?2)", (order, amount))?;
    Ok(transaction.commit()?)
}

/// Sends what is not noted as sent, the oldest first. `dies_after`: as a crash would end it.
async fn relay(
    config: &ClientConfig,
    database: &Connection,
    dies_after: Option<usize>,
) -> Result<usize> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    let mut unsent =
        database.prepare("SELECT id, key, event FROM outbox WHERE sent = 0 ORDER BY id")?;
    let events = unsent.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let events: Vec<(i64, String, String)> = events.collect::<Result<_, _>>()?;
    for (count, (id, key, event)) in events.iter().enumerate() {
        let id_text = id.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: "event-id", value: Some(&id_text) });
        let record = FutureRecord::to(TOPICS[0]).key(key).payload(event).headers(headers);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
        if dies_after == Some(count + 1) {
            return Ok(count + 1);
        }
        database.execute("UPDATE outbox SET sent = 1 WHERE id = ?1", [id])?;
    }
    Ok(events.len())
}
// ANCHOR_END: outbox

async fn read(config: &ClientConfig) -> Result<()> {
    let mut by_hand = config.clone();
    by_hand.set("group.id", "kafka-outbox.reader"); // a name for the client; nothing is committed
    by_hand.set("enable.auto.commit", "false").set("enable.partition.eof", "true");
    let consumer: StreamConsumer = by_hand.create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(TOPICS[0], 0, Offset::Beginning)?;
    consumer.assign(&start)?;
    while let Some(record) = next(&consumer).await? {
        let headers = record.headers().context("no headers")?;
        let id = headers.get(0).value.context("no event id")?;
        let event = record.payload_view::<str>().context("no payload")??;
        println!("in the topic: event {}, {event}", String::from_utf8_lossy(id));
    }
    Ok(())
}

/// The next record, or nothing at the end of the partition.
async fn next(consumer: &StreamConsumer) -> Result<Option<BorrowedMessage<'_>>> {
    match timeout(Duration::from_secs(30), consumer.recv()).await {
        Ok(Ok(record)) => Ok(Some(record)),
        Ok(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("no record within 30 s"),
    }
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        let never_was = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound].contains(&code);
        ensure!(never_was, "cannot delete {name}: {code}");
    }
    Ok(())
}
