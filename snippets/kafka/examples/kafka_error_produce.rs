//! Records that are refused: the errors that a producer sees, and who refused.
//!
//! Guarantee: no record is lost in silence. The client refuses at the call or in the delivery
//! report, the broker in the delivery report. Holds while the program looks at both.
//!
//! Run: `cargo run --example kafka_error_produce`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer, FutureRecord},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

const INVOICES: &str = "kafka-error-produce.invoices"; // takes 1,000 bytes
const BALANCES: &str = "kafka-error-produce.balances"; // compacted
const PAYMENTS: &str = "kafka-error-produce.payments"; // asks for two copies, has one
const MISSING: &str = "kafka-error-produce.no-such-topic";

type Record<'a> = FutureRecord<'a, str, str>;

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
    remove_topics(&admin).await?; // left by a run that was cut off
    let topics = [
        NewTopic::new(INVOICES, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "1000"),
        NewTopic::new(BALANCES, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact"),
        NewTopic::new(PAYMENTS, 1, TopicReplication::Fixed(1)).set("min.insync.replicas", "2"),
    ];
    for created in admin.create_topics(&topics, &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let refused = refuse(&config).await;
    let cleaned = remove_topics(&admin).await;
    refused.and(cleaned)
}

/// Sends records that cannot be taken, each for another reason.
async fn refuse(config: &ClientConfig) -> Result<()> {
    let mut config = config.clone();
    config.set("message.timeout.ms", "10000");
    let (over_topic, over_client) = ("x".repeat(1_001), "x".repeat(1_000_001));

    // ANCHOR: refused
    println!("refused by the client");
    let record = Record::to(INVOICES).payload(&over_client);
    send(&config, "a record over message.max.bytes, 1,000,000", record).await?;
    let record = Record::to(INVOICES).payload("paid").partition(7);
    send(&config, "partition 7 of a topic that has one", record).await?;
    let mut small_queue = config.clone();
    small_queue.set("queue.buffering.max.messages", "2");
    small_queue.set("linger.ms", "5000"); // the queue is not emptied meanwhile
    fill(&small_queue)?;

    println!("refused by the broker");
    let record = Record::to(INVOICES).payload(&over_topic);
    send(&config, "a record over the topic's max.message.bytes", record).await?;
    let mut batching = config.clone();
    batching.set("linger.ms", "200");
    send_20(&batching, "20 small records, which make one batch over max.message.bytes").await?;
    batching.set("batch.size", "1000");
    send_20(&batching, "the same with batch.size=1000").await?;
    let record = Record::to(BALANCES).payload("5 EUR");
    send(&config, "no key, in a compacted topic", record).await?;
    let mut impatient = config.clone();
    impatient.set("topic.metadata.propagation.max.ms", "1000"); // 30 s by default
    let record = Record::to(MISSING).payload("paid");
    send(&impatient, "a topic that does not exist", record).await?;
    println!("not refused");
    let record = Record::to(PAYMENTS).payload("paid");
    send(&config, "min.insync.replicas=2, one copy", record).await?;

    println!("refused by a mock cluster that has lost its followers");
    let mock: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1)?;
    let lost = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 100];
    mock.request_errors(RDKafkaApiKey::Produce, &lost);
    let mut mocked = config.clone();
    mocked.set("bootstrap.servers", mock.bootstrap_servers());
    mocked.set("message.timeout.ms", "2000");
    let record = Record::to(PAYMENTS).payload("paid");
    send(&mocked, "tried again until message.timeout.ms", record).await?;
    mocked.set("retries", "0");
    let record = Record::to(PAYMENTS).payload("paid");
    send(&mocked, "retries=0", record).await?;
    let appended = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND;
    mock.clear_request_errors(RDKafkaApiKey::Produce);
    mock.request_errors(RDKafkaApiKey::Produce, &[appended; 100]);
    send(&mocked, "lost after it stored the record", Record::to(PAYMENTS).payload("paid")).await?;
    // ANCHOR_END: refused
    Ok(())
}

/// Sends one record with a producer of its own and prints what became of it.
async fn send(config: &ClientConfig, what: &str, record: Record<'_>) -> Result<()> {
    let producer: FutureProducer = config.create()?;
    println!("  {what}");
    match producer.send_result(record) {
        Err((error, _)) => println!("      call: {error}"),
        Ok(report) => match report.await? {
            Err((error, _)) => println!("      report: {error}"),
            Ok(taken) => println!("      report: taken at offset {}", taken.offset),
        },
    }
    Ok(())
}

/// Sends 20 records of 90 bytes at once.
async fn send_20(config: &ClientConfig, what: &str) -> Result<()> {
    let (producer, record): (FutureProducer, _) = (config.create()?, "x".repeat(90));
    println!("  {what}");
    let next = || Record::to(INVOICES).payload(&record);
    let sent: Vec<_> = (0..20).filter_map(|_| producer.send_result(next()).ok()).collect();
    let reports = join_all(sent).await;
    let refused: Vec<_> = reports.into_iter().flatten().filter_map(Result::err).collect();
    println!("      report: {} of 20 are refused", refused.len());
    refused.first().inspect(|(error, _)| println!("      report: {error}"));
    Ok(())
}

/// Sends faster than the producer's queue is emptied.
fn fill(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config.create()?;
    println!("  a third record, queue.buffering.max.messages=2");
    for _ in 0..3 {
        if let Err((error, _)) = producer.send_result(Record::to(INVOICES).payload("paid")) {
            println!("      call: {error}");
            return Ok(());
        }
    }
    bail!("the queue took three records")
}

async fn remove_topics(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let topics = [INVOICES, BALANCES, PAYMENTS, MISSING];
    for deleted in admin.delete_topics(&topics, &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
