//! A transactional outbox: an order and its event in one transaction of a database, a relay to Kafka.
//!
//! Guarantee: each committed order's event is sent at least once, in order; one that is too large is
//! set aside. Holds because a relay fences the one before it. Readers know a repeat by its id.
//!
//! Run: `cargo run --example kafka_outbox`

use std::{env, path::Path, path::PathBuf, pin::pin, time::Duration};

use anyhow::{Context, Result, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList, error, error::RDKafkaErrorCode};
use rusqlite::Connection;
use tokio::{select, signal, task::block_in_place, time::sleep, time::timeout};

const TOPICS: [&str; 1] = ["kafka-outbox.orders"];
const START: &str = "; start one: docker compose up -d --wait, or cargo run --bin sandbox -- up";
const LARGEST: usize = 900_000; // bytes; by default the client and the broker take a little more
const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);
type Event = (i64, String, String); // id, key, text

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    let admin: AdminClient<_> = config.create()?;
    let reached = admin.inner().fetch_metadata(None, Duration::from_secs(5)); // blocks; it is alone
    reached.with_context(|| format!("cannot use Kafka at {brokers}{START}"))?;
    let options = AdminOptions::new();
    checked(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    checked(admin.create_topics(&topics, &options).await?)?;
    let folder = tempfile::Builder::new().prefix("kafka-outbox-").tempdir()?;
    let shown = show(&config, &folder.path().join("orders.sqlite")).await;
    shown.and(checked(admin.delete_topics(&TOPICS, &options).await?))
}

async fn show(config: &ClientConfig, file: &Path) -> Result<()> {
    let mut database = Connection::open(file).context("cannot open the database")?;
    database.execute_batch(
        "PRAGMA synchronous = EXTRA; -- by default the last commit can go with the power
         CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER CHECK (amount > 0));
         CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, key, event, state DEFAULT 'new');",
    )?;
    let long = ", with a note: ".repeat(100_000);
    for (order, amount, note) in [(17, 90, ""), (18, 0, ""), (19, 25, &long), (20, 40, "")] {
        if let Err(error) = place(&mut database, order, amount, note) {
            println!("order {order}: rolled back: {error}");
        }
    }
    let (first, new) = (fencing(config)?, unsent(&database)?);
    deliver(&first, &new).await?;
    println!("a relay sends 2, and stands still before it notes them; another one takes over");
    let second = tokio::spawn(relay(config.clone(), file.to_owned()));
    while !second.is_finished() && !unsent(&database)?.is_empty() {
        sleep(PAUSE).await;
    }
    ensure!(!second.is_finished(), "the relay ended: {:?}", second.await);
    deliver(&first, &new).await.err().context("two relays at once")?;
    let (code, _) = first.client().fatal_error().context("the first relay is not fenced")?;
    println!("the first relay goes on: {code:?}");
    second.abort(); // a service ends by SIGTERM
    let mut by_hand = config.clone(); // reads committed records only, and commits nothing itself
    by_hand.set("group.id", "kafka-outbox.reader").set("enable.auto.commit", "false");
    let consumer: StreamConsumer = by_hand.set("enable.partition.eof", "true").create()?;
    let start = [((TOPICS[0].to_owned(), 0), Offset::Beginning)];
    consumer.assign(&TopicPartitionList::from_topic_map(&start.into())?)?;
    loop {
        let record = match timeout(LIMIT, consumer.recv()).await.context("nothing in 30 s")? {
            Err(error::KafkaError::PartitionEOF(_)) => return Ok(()),
            record => record?,
        };
        let id = record.headers().context("no headers")?.get(0).value.context("no event id")?;
        let event = record.payload_view::<str>().context("no payload")??;
        println!("in the topic: event {}, {event}", String::from_utf8_lossy(id));
    }
}

// ANCHOR: outbox
/// The order and what is to be told of it: both, or neither.
fn place(database: &mut Connection, order: i64, amount: i64, note: &str) -> Result<()> {
    let transaction = database.transaction()?;
    let event = (order.to_string(), format!("order {order} placed{note}"));
    transaction.execute("INSERT INTO outbox (key, event) VALUES (?1, ?2)", event)?;
    transaction.execute("INSERT INTO orders VALUES (?1, ?2)", (order, amount))?;
    Ok(transaction.commit()?)
}

/// Sends what is new until it is told to stop. An error ends it: start it anew, with a new producer.
async fn relay(config: ClientConfig, file: PathBuf) -> Result<()> {
    let producer = fencing(&config)?;
    let mut database = Connection::open(file)?;
    let mut stop = pin!(told_to_stop());
    loop {
        let new = block_in_place(|| unsent(&database))?;
        select! { biased; stopped = &mut stop => return stopped, () = sleep(PAUSE) => {} }
        deliver(&producer, &new).await?;
        block_in_place(|| note(&mut database, &new))?;
    }
}

/// One transaction of Kafka for all, with their receipts under way at once.
async fn deliver(producer: &FutureProducer, events: &[Event]) -> Result<()> {
    producer.begin_transaction()?;
    let mut receipts = Vec::new();
    for (id, key, event) in events.iter().filter(|(.., event)| event.len() <= LARGEST) {
        let id = id.to_string();
        let headers = OwnedHeaders::new().insert(Header { key: "event-id", value: Some(&id) });
        let record = FutureRecord::to(TOPICS[0]).key(key).payload(event).headers(headers);
        receipts.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for receipt in receipts {
        receipt.await?.map_err(|(error, _)| error)?;
    }
    Ok(block_in_place(|| producer.commit_transaction(LIMIT))?)
}

/// A producer with the relay's name: from now on Kafka refuses every older one of that name.
fn fencing(config: &ClientConfig) -> Result<FutureProducer> {
    let mut named = config.clone();
    named.set("transactional.id", "kafka-outbox.relay");
    let producer: FutureProducer = named.set("message.timeout.ms", "10000").create()?;
    block_in_place(|| producer.init_transactions(LIMIT))?;
    Ok(producer)
}

fn unsent(database: &Connection) -> Result<Vec<Event>> {
    let new = "SELECT id, key, event FROM outbox WHERE state = 'new' ORDER BY id LIMIT 100";
    let mut new = database.prepare(new)?;
    let rows = new.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn note(database: &mut Connection, events: &[Event]) -> Result<()> {
    let transaction = database.transaction()?;
    for (id, _, event) in events {
        let state = if event.len() <= LARGEST { "sent" } else { "too large" };
        transaction.execute("UPDATE outbox SET state = ?1 WHERE id = ?2", (state, id))?;
        println!("event {id}: {state}");
    }
    Ok(transaction.commit()?)
}
// ANCHOR_END: outbox

async fn told_to_stop() -> Result<()> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    select! { pressed = signal::ctrl_c() => Ok(pressed?), _ = terminate.recv() => Ok(()) }
}

fn checked(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        ensure!(code == RDKafkaErrorCode::UnknownTopicOrPartition, "{name}: {code}");
    }
    Ok(())
}
