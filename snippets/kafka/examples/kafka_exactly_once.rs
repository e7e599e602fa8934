//! Read, process and write in one transaction: a crash neither loses nor repeats a result.
//!
//! Guarantee: exactly once, from a Kafka topic to a Kafka topic. Holds for readers with
//! `isolation.level=read_committed`, and for nothing that the work does outside of Kafka.
//!
//! Run: `cargo run --example kafka_exactly_once`

use std::{
    env,
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

const PAYMENTS: &str = "kafka-exactly-once.payments";
const RECEIPTS: &str = "kafka-exactly-once.receipts";
const GROUP: &str = "kafka-exactly-once.billing";
const COUNT: u32 = 12;
const BATCH: usize = 4;
const DIES_AT: u32 = 6;
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    // The program starts itself again as a worker: a crash ends the whole process.
    if let Some(dies_at) = env::args().nth(1) {
        return work(&config, dies_at.parse()?);
    }

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as transactions do; no task is ever spawned.
    admin
        .inner()
        .fetch_metadata(None, Duration::from_secs(5))
        .with_context(|| {
            format!(
                "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })?;

    remove_topics(&admin).await?; // left by a run that was cut off, with its group's offsets
    let topics = [PAYMENTS, RECEIPTS].map(|t| NewTopic::new(t, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let counted = count(&config);
    for deleted in admin.delete_groups(&[GROUP], &AdminOptions::new()).await? {
        if let Err((group, code)) = deleted {
            ensure!(code == RDKafkaErrorCode::GroupIdNotFound, "{group}: {code}");
        }
    }
    remove_topics(&admin).await?;
    counted
}

fn count(config: &ClientConfig) -> Result<()> {
    let shop = producer(config, "kafka-exactly-once.shop")?;
    shop.begin_transaction()?;
    for payment in 1..=COUNT {
        send(&shop, PAYMENTS, payment)?;
    }
    shop.commit_transaction(LIMIT)?;
    println!("{COUNT} payments in {PAYMENTS}, {BATCH} to a transaction");
    println!("worker 1 {}", run_worker(DIES_AT)?);
    eprintln!("waiting until the group misses it, 6 s after its last heartbeat");
    println!("worker 2 {}", run_worker(u32::MAX)?);
    for level in ["read_uncommitted", "read_committed"] {
        let receipts = read_all(config, level)?;
        let mut distinct = receipts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let (lost, repeated) = (
            COUNT as usize - distinct.len(),
            receipts.len() - distinct.len(),
        );
        println!("{level}: {receipts:?}: {lost} lost, {repeated} repeated");
    }
    Ok(())
}

/// Runs this program as a worker and returns what it said.
fn run_worker(dies_at: u32) -> Result<String> {
    let mut worker = Command::new(env::current_exe()?);
    let worker = worker
        .arg(dies_at.to_string())
        .stderr(Stdio::inherit())
        .output()?;
    let killed = worker.status.code().is_none();
    ensure!(killed == (dies_at <= COUNT), "the worker failed");
    Ok(String::from_utf8(worker.stdout)?
        .lines()
        .collect::<Vec<_>>()
        .join(", "))
}

/// Writes a receipt for each payment; after receipt `dies_at` the process is gone.
fn work(config: &ClientConfig, dies_at: u32) -> Result<()> {
    let mut config = config.clone();
    config
        .set("group.id", GROUP)
        .set("session.timeout.ms", "6000");
    let consumer = consumer(&config, "read_committed")?;
    consumer.subscribe(&[PAYMENTS])?;
    // ANCHOR: work
    // The same id for every start: it ends what a predecessor left open.
    let producer = producer(&config, "kafka-exactly-once.billing")?;
    loop {
        let payments = next(&consumer, BATCH)?;
        if payments.is_empty() {
            return Ok(());
        }
        producer.begin_transaction()?;
        for payment in &payments {
            send(&producer, RECEIPTS, *payment)?;
            if *payment == dies_at {
                producer.flush(LIMIT)?; // the broker has it, uncommitted
                println!("dies after receipt {payment}");
                process::abort();
            }
        }
        let members = consumer.group_metadata().context("not in a group")?;
        producer.send_offsets_to_transaction(&consumer.position()?, &members, LIMIT)?;
        producer.commit_transaction(LIMIT)?; // receipts and offsets, or neither
        println!("commits {payments:?}");
    }
    // ANCHOR_END: work
}

fn producer(config: &ClientConfig, id: &str) -> Result<BaseProducer> {
    let mut config = config.clone();
    config.set("transactional.id", id);
    let producer: BaseProducer = config.create()?;
    producer.init_transactions(LIMIT)?;
    Ok(producer)
}

fn consumer(config: &ClientConfig, level: &str) -> Result<BaseConsumer> {
    let mut config = config.clone();
    config
        .set("isolation.level", level)
        .set("enable.auto.commit", "false");
    config
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true");
    Ok(config.create()?)
}

fn send(producer: &BaseProducer, topic: &str, payment: u32) -> Result<()> {
    let payload = payment.to_string();
    let record: BaseRecord<'_, str, str> = BaseRecord::to(topic).payload(&payload);
    Ok(producer.send(record).map_err(|(error, _)| error)?)
}

/// Up to `limit` payments, fewer at the end of the partition.
fn next(consumer: &BaseConsumer, limit: usize) -> Result<Vec<u32>> {
    let deadline = Instant::now() + LIMIT;
    let mut payments = Vec::new();
    while payments.len() < limit {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(record) => {
                payments.push(record?.payload_view::<str>().context("empty")??.parse()?)
            }
            None => ensure!(Instant::now() < deadline, "nothing to read within 30 s"),
        }
    }
    Ok(payments)
}

fn read_all(config: &ClientConfig, level: &str) -> Result<Vec<u32>> {
    let mut config = config.clone();
    config.set("group.id", "kafka-exactly-once.audit"); // never joins: it assigns itself
    let consumer = consumer(&config, level)?;
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(RECEIPTS, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;
    next(&consumer, usize::MAX)
}

async fn remove_topics(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin
        .delete_topics(&[PAYMENTS, RECEIPTS], &AdminOptions::new())
        .await?
    {
        if let Err((topic, code)) = deleted {
            ensure!(
                code == RDKafkaErrorCode::UnknownTopicOrPartition,
                "{topic}: {code}"
            );
        }
    }
    Ok(())
}
