//! A transaction that is committed, one that is aborted, one that is open: what readers see.
//!
//! Guarantee: a reader with `isolation.level=read_committed` never sees a record of a transaction
//! that was aborted or is still open, nor anything behind an open one. It is the default of
//! librdkafka, and not that of Java.
//!
//! Run: `cargo run --example kafka_abort`

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, BaseRecord, Producer},
};

const TOPIC: &str = "kafka-abort.transfers";
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as transactions do; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    let producer: BaseProducer =
        config.clone().set("transactional.id", "kafka-abort.bank").create()?;
    eprintln!("the first transaction of a broker takes some seconds");
    producer.init_transactions(LIMIT)?; // ends what a run that was cut off left open
    remove_topic(&admin).await?;
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config, &producer);
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

fn show(config: &ClientConfig, producer: &BaseProducer) -> Result<()> {
    // ANCHOR: transactions
    producer.begin_transaction()?;
    send(producer, "10 from Ann")?;
    send(producer, "10 to Bob")?;
    producer.commit_transaction(LIMIT)?;

    producer.begin_transaction()?;
    send(producer, "99 from Ann")?;
    producer.flush(LIMIT)?; // it is in the log
    producer.abort_transaction(LIMIT)?;

    producer.begin_transaction()?;
    send(producer, "5 from Bob")?;
    send(producer, "5 to Ann")?;
    producer.flush(LIMIT)?; // and stays open

    let other: BaseProducer = config.clone().set("message.timeout.ms", "10000").create()?;
    send(&other, "7 to Eve, in no transaction")?;
    other.flush(LIMIT)?;
    // ANCHOR_END: transactions

    println!("one transaction committed, one aborted, one open, and a record behind it");
    for level in ["read_uncommitted", "read_committed"] {
        print_all(config, level)?;
    }
    producer.commit_transaction(LIMIT)?;
    println!("the open one is committed");
    print_all(config, "read_committed")
}

fn send(producer: &BaseProducer, transfer: &str) -> Result<()> {
    let record: BaseRecord<'_, str, str> = BaseRecord::to(TOPIC).payload(transfer);
    Ok(producer.send(record).map_err(|(error, _)| error)?)
}

/// Prints what a reader of this isolation level finds between the beginning and the end.
fn print_all(config: &ClientConfig, level: &str) -> Result<()> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "kafka-abort.audit") // never joins: it assigns itself
        .set("isolation.level", level)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;

    println!("{level}:");
    let deadline = Instant::now() + LIMIT;
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(record) => {
                let record = record?;
                let transfer = record.payload_view::<str>().context("no payload")??;
                println!("  offset {}: {transfer}", record.offset());
            }
            None => ensure!(Instant::now() < deadline, "nothing to read within 30 s"),
        }
    }
}

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
