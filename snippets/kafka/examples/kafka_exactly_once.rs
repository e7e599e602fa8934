//! Read, process and write in one transaction: a crash neither loses nor repeats a result.
//!
//! Guarantee: exactly once, from Kafka to Kafka, for readers with `isolation.level=read_committed`; not
//! for what the work does outside. The worker ends at the first error, also when it loses its partition.
//!
//! Run: `cargo run --example kafka_exactly_once`

use std::process::{self, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, thread};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, BaseRecord, Producer},
};

const PAYMENTS: &str = "kafka-exactly-once.payments";
const RECEIPTS: &str = "kafka-exactly-once.receipts";
const TOPICS: [&str; 2] = [PAYMENTS, RECEIPTS];
const GROUP: &str = "kafka-exactly-once.billing";
const COUNT: u32 = 12;
const BATCH: usize = 4;
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
    // Blocks, as transactions do; no task is ever spawned.
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
    let counted = count(&config);
    let groups = gone(admin.delete_groups(&[GROUP], &options).await?);
    counted.and(groups).and(gone(admin.delete_topics(&TOPICS, &options).await?))
}

fn count(config: &ClientConfig) -> Result<()> {
    let shop = producer(config, "kafka-exactly-once.shop")?;
    shop.begin_transaction()?;
    (1..=COUNT).try_for_each(|payment| send(&shop, PAYMENTS, payment))?;
    shop.commit_transaction(LIMIT)?;
    println!("{COUNT} payments in {PAYMENTS}, {BATCH} to a transaction");
    println!("worker 1 {}", run_worker(6)?);
    eprintln!("waiting until the group misses it, 6 s after its last heartbeat");
    println!("worker 2 {}", run_worker(u32::MAX)?);
    for level in ["read_uncommitted", "read_committed"] {
        let audit = consumer(config, level)?; // never joins: it assigns itself
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(RECEIPTS, 0, Offset::Beginning)?;
        audit.assign(&partition)?;
        let receipts = next(&audit, usize::MAX)?;
        let lost = (1..=COUNT).filter(|payment| !receipts.contains(payment)).count();
        let extra = receipts.len() + lost - COUNT as usize;
        println!("{level}: {receipts:?}: {lost} lost, {extra} repeated");
    }
    Ok(())
}

fn run_worker(dies_at: u32) -> Result<String> {
    let mut worker = Command::new(env::current_exe()?);
    worker.arg(dies_at.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = worker.spawn()?;
    let _leash = worker.stdin.take(); // closed when this program ends, however it ends
    let worker = worker.wait_with_output()?;
    ensure!(worker.status.code().is_none() == (dies_at <= COUNT), "the worker failed");
    Ok(String::from_utf8(worker.stdout)?.trim().replace('\n', ", "))
}

fn work(config: &ClientConfig, dies_at: u32) -> Result<()> {
    thread::spawn(|| io::read_to_string(io::stdin()).map(|_| process::abort())); // no orphans
    let consumer = consumer(config, "read_committed")?;
    consumer.subscribe(&[PAYMENTS])?;
    while consumer.assignment()?.count() == 0 {
        consumer.poll(Duration::from_millis(100)).transpose()?; // to be a member before the loop
    }
    // ANCHOR: work
    // The same id for every start: it ends what a predecessor left open.
    let producer = producer(config, "kafka-exactly-once.billing")?;
    loop {
        // Before the batch: asked later, it can be of a membership that did not read it.
        let member = consumer.group_metadata().context("not in a group")?;
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
        producer.send_offsets_to_transaction(&consumer.position()?, &member, LIMIT)?;
        producer.commit_transaction(LIMIT)?; // receipts and offsets, or neither
        println!("commits {payments:?}");
    }
    // ANCHOR_END: work
}

fn producer(config: &ClientConfig, id: &str) -> Result<BaseProducer> {
    let producer: BaseProducer = config.clone().set("transactional.id", id).create()?;
    Ok(producer.init_transactions(LIMIT).map(|()| producer)?)
}

fn consumer(config: &ClientConfig, level: &str) -> Result<BaseConsumer> {
    let mut config = config.clone();
    config.set("isolation.level", level).set("enable.auto.commit", "false");
    config.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
    Ok(config.set("group.id", GROUP).set("session.timeout.ms", "6000").create()?)
}

fn send(producer: &BaseProducer, topic: &str, payment: u32) -> Result<()> {
    let payment = payment.to_string();
    let record = BaseRecord::<str, str>::to(topic).payload(&payment);
    Ok(producer.send(record).map_err(|(error, _)| error)?)
}

fn next(consumer: &BaseConsumer, limit: usize) -> Result<Vec<u32>> {
    let deadline = Instant::now() + LIMIT;
    let mut all = Vec::new();
    while all.len() < limit {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(record) => all.push(record?.payload_view::<str>().context("empty")??.parse()?),
            None => ensure!(Instant::now() < deadline, "nothing to read within 30 s"),
        }
    }
    Ok(all)
}

fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
