//! A producer that was believed dead comes back and is fenced: its successor has its id.
//!
//! Guarantee: of all producers with one `transactional.id`, only the one that started last can
//! write. Holds when the id is stable: the same in every start of the same worker.
//!
//! Run: `cargo run --example kafka_zombie`

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

const TOPIC: &str = "kafka-zombie.invoices";
const ID: &str = "kafka-zombie.billing";
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
    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config);
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

fn show(config: &ClientConfig) -> Result<()> {
    // ANCHOR: fence
    let zombie = start(config)?;
    zombie.begin_transaction()?;
    send(&zombie, "invoice 1, by the first")?;
    zombie.flush(LIMIT)?;
    println!("the first producer writes invoice 1 and stops for too long");

    let successor = start(config)?; // ends the open transaction and fences its owner
    successor.begin_transaction()?;
    send(&successor, "invoice 1, by the second")?;
    successor.commit_transaction(LIMIT)?;
    println!("the second producer starts with the same id and commits invoice 1");

    match zombie.commit_transaction(LIMIT) {
        Err(KafkaError::Transaction(error)) => {
            println!("the first comes back and commits: {error}");
            println!("can be tried again: {}, fatal: {}", error.is_retriable(), error.is_fatal());
        }
        other => bail!("the zombie was not fenced: {other:?}"),
    }
    // ANCHOR_END: fence
    println!("read_committed: {:?}", read_all(config)?);
    Ok(())
}

fn start(config: &ClientConfig) -> Result<BaseProducer> {
    let producer: BaseProducer = config.clone().set("transactional.id", ID).create()?;
    producer.init_transactions(LIMIT)?;
    Ok(producer)
}

fn send(producer: &BaseProducer, invoice: &str) -> Result<()> {
    let record: BaseRecord<'_, str, str> = BaseRecord::to(TOPIC).payload(invoice);
    Ok(producer.send(record).map_err(|(error, _)| error)?)
}

fn read_all(config: &ClientConfig) -> Result<Vec<String>> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "kafka-zombie.audit") // never joins: it assigns itself
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;

    let mut invoices = Vec::new();
    let deadline = Instant::now() + LIMIT;
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(invoices),
            Some(record) => {
                let record = record?;
                let invoice = record.payload_view::<str>().context("no payload")??;
                invoices.push(invoice.to_owned());
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
