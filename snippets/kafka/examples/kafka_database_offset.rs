//! The database keeps the offset beside the result, and refuses a member that has lost its partition.
//!
//! Guarantee: each record has one result in the database, also after a crash or a rebalance. Holds while
//! each assignment starts at the database's offset and each write names the owner it was read as.
//!
//! Run: `cargo run --example kafka_database_offset`

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{collections::HashMap, env, time::Duration, time::Instant};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Message, Offset,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance},
    error::RDKafkaErrorCode as Code,
    message::OwnedMessage,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use rusqlite::Connection;

const TOPIC: &str = "kafka-database-offset.payments";
const GROUP: &str = "kafka-database-offset.billing";
const COUNT: usize = 12;

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
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = gone(admin.delete_groups(&[GROUP], &options).await?);
    shown.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    for payment in 1..=COUNT {
        let payment = payment.to_string();
        let record = FutureRecord::<str, _>::to(TOPIC).payload(&payment);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    let database = Connection::open_in_memory()?; // a file or a server, in real life
    database.execute_batch(
        "CREATE TABLE places (partition INTEGER PRIMARY KEY, owner INTEGER, next INTEGER);
         CREATE TABLE receipts (payment TEXT);",
    )?;
    let database = Arc::new(Mutex::new(database));
    let old = join(config, &database)?;
    let batch = read(&old, 6)?;
    for payment in &batch[..3] {
        ensure!(old.context().write(payment)?, "the owner was refused");
    }
    println!("the first member reads 6 payments and writes 3");
    let late = old.context().clone();
    drop(old); // its partition goes to the next; its program still holds the batch
    let new = join(config, &database)?;
    let rest = read(&new, COUNT - 3)?;
    println!("a second member begins at offset {}", rest.first().context("nothing")?.offset());
    let refused = !late.write(&batch[3])?;
    println!("the first writes one more, late: {}", if refused { "refused" } else { "taken" });
    for payment in &rest {
        ensure!(new.context().write(payment)?, "the owner was refused");
    }
    let sql = "SELECT COUNT(DISTINCT payment), COUNT(*) FROM receipts";
    let (different, all): (i64, i64) =
        lock(&database).query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    println!("receipts: {} lost, {} repeated", COUNT as i64 - different, all - different);
    Ok(())
}

// ANCHOR: database
/// The partitions that a member took over, and as which owner.
struct Places {
    database: Arc<Mutex<Connection>>,
    owned: Mutex<HashMap<i32, i64>>,
}

impl ClientContext for Places {}

impl ConsumerContext for Places {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        let Rebalance::Assign(partitions) = change else { return };
        for mut place in partitions.elements() {
            let next = self.take_over(place.partition());
            let begin = next.ok().and_then(|next| place.set_offset(Offset::Offset(next)).ok());
            begin.unwrap_or_else(|| eprintln!("partition {} not taken over", place.partition()));
        }
    }
}

impl Places {
    /// Becomes the owner of a partition; returns the offset at which to begin.
    fn take_over(&self, partition: i32) -> rusqlite::Result<i64> {
        let sql = "INSERT INTO places VALUES (?1, 1, 0)
             ON CONFLICT DO UPDATE SET owner = owner + 1 RETURNING owner, next";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (owner, next) = lock(&self.database).query_row(sql, [partition], row)?;
        lock(&self.owned).insert(partition, owner);
        Ok(next)
    }

    /// Writes result and offset in one transaction. False: the partition is another's by now.
    fn write(&self, record: &OwnedMessage) -> Result<bool> {
        let owner = lock(&self.owned).get(&record.partition()).copied();
        let mut database = lock(&self.database);
        let transaction = database.transaction()?; // undone if it is not committed
        let sql = "UPDATE places SET next = ?1 WHERE partition = ?2 AND owner = ?3";
        if transaction.execute(sql, (record.offset() + 1, record.partition(), owner))? == 0 {
            return Ok(false);
        }
        let payment = record.payload_view::<str>().context("no payload")??;
        transaction.execute("INSERT INTO receipts VALUES (?1)", [payment])?;
        Ok(transaction.commit().map(|()| true)?)
    }
}
// ANCHOR_END: database

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn join(config: &ClientConfig, database: &Arc<Mutex<Connection>>) -> Result<BaseConsumer<Places>> {
    let places = Places { database: database.clone(), owned: Mutex::default() };
    let mut config = config.clone();
    config.set("group.id", GROUP).set("enable.auto.commit", "false");
    config.set("session.timeout.ms", "6000"); // only for this run; the default is 45 s
    let consumer: BaseConsumer<Places> = config.create_with_context(places)?;
    Ok(consumer.subscribe(&[TOPIC]).map(|()| consumer)?)
}

fn read(consumer: &BaseConsumer<Places>, count: usize) -> Result<Vec<OwnedMessage>> {
    let (mut batch, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(60));
    while batch.len() < count {
        batch.extend(consumer.poll(Duration::from_secs(1)).transpose()?.map(|r| r.detach()));
        ensure!(Instant::now() < deadline, "{} payments within 60 s", batch.len());
    }
    Ok(batch)
}

fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
