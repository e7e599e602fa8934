//! A record that can't be read must not stop its partition: it is put aside, with the reason.
//!
//! Guarantee: at least once, to the next step or to the dead-letter topic. Holds because an offset
//! is stored only after the record was processed or its copy was acknowledged.
//!
//! Run: `cargo run --example kafka_poison_record`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use serde::Deserialize;
use tokio::time::timeout;

const TOPIC: &str = "kafka-poison-record.payments";
const DEAD: &str = "kafka-poison-record.payments.dead";
const GROUPS: [&str; 2] = ["kafka-poison-record.naive", "kafka-poison-record.careful"];
const PAYMENTS: [&str; 4] = [
    r#"{"order": 1, "cents": 1999}"#,
    r#"{"order": 2, "cents": "#, // cut off by whoever sent it
    r#"{"order": 3, "cents": 500}"#,
    r#"{"order": 4, "cents": 4200}"#,
];

#[derive(Deserialize)]
struct Payment {
    order: u32,
    cents: u32,
}

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
    let topics = [TOPIC, DEAD].map(|t| NewTopic::new(t, 1, TopicReplication::Fixed(1)));
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
    for payment in PAYMENTS {
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(payment);
        let sent = producer.send(record, Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("{} payments in {TOPIC}", PAYMENTS.len());

    let [naive, careful] = GROUPS;
    for start in 1..=3 {
        let outcome = consume(config, naive, None).await;
        println!(
            "naive, start {start}: {}",
            outcome.err().map_or("done".into(), |e| e.to_string())
        );
    }
    consume(config, careful, Some(&producer)).await?;
    println!("careful: done");
    print_dead(config).await
}

/// Processes payments to the end of the partition. With a producer, what can't be read is put aside.
async fn consume(config: &ClientConfig, group: &str, dead: Option<&FutureProducer>) -> Result<()> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("session.timeout.ms", "6000")
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    // ANCHOR: consume
    while let Some(message) = next(&consumer).await? {
        let payload = message.payload().unwrap_or_default();
        match (serde_json::from_slice::<Payment>(payload), dead) {
            (Ok(payment), _) => println!("  paid {}: {} cents", payment.order, payment.cents),
            (Err(error), Some(producer)) => {
                put_aside(producer, &message, &error.to_string()).await?
            }
            // The offset is not stored: the next start begins with the same record.
            (Err(error), None) => bail!("offset {}: {error}", message.offset()),
        }
        consumer.store_offset_from_message(&message)?;
        consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs
    }
    // ANCHOR_END: consume
    Ok(())
}

/// Copies a record to the dead-letter topic, unchanged, with headers that say why and from where.
async fn put_aside(
    producer: &FutureProducer,
    message: &BorrowedMessage<'_>,
    reason: &str,
) -> Result<()> {
    let origin = format!(
        "{}/{}/{}",
        message.topic(),
        message.partition(),
        message.offset()
    );
    let headers = message
        .headers()
        .map_or_else(OwnedHeaders::new, |h| h.detach());
    let headers = headers
        .insert(Header {
            key: "reason",
            value: Some(reason),
        })
        .insert(Header {
            key: "origin",
            value: Some(&origin),
        });
    let mut record: FutureRecord<[u8], [u8]> = FutureRecord::to(DEAD).headers(headers);
    (record.key, record.payload) = (message.key(), message.payload());
    let sent = producer.send(record, Timeout::Never).await;
    sent.map_err(|(error, _)| error)?;
    Ok(())
}

async fn print_dead(config: &ClientConfig) -> Result<()> {
    let mut audit = config.clone();
    audit.set("group.id", "kafka-poison-record.audit");
    audit.set("enable.auto.commit", "false"); // so that no group comes to be
    let consumer: StreamConsumer = audit.set("auto.offset.reset", "earliest").create()?;
    let mut partition = rdkafka::TopicPartitionList::new();
    partition.add_partition(DEAD, 0);
    consumer.assign(&partition)?;
    let message = timeout(Duration::from_secs(30), consumer.recv()).await;
    let message = message.context("nothing is in the dead-letter topic")??;
    println!("in {DEAD}:");
    println!(
        "  {}",
        message.payload_view::<str>().context("no payload")??
    );
    for header in message.headers().context("no headers")?.iter() {
        println!(
            "  {}: {}",
            header.key,
            String::from_utf8_lossy(header.value.unwrap_or_default())
        );
    }
    Ok(())
}

/// The next payment, or nothing at the end of the partition.
async fn next(consumer: &StreamConsumer) -> Result<Option<BorrowedMessage<'_>>> {
    match timeout(Duration::from_secs(30), consumer.recv()).await {
        Ok(Ok(message)) => Ok(Some(message)),
        Ok(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => bail!("no payment within 30 s"),
    }
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
    for deleted in admin
        .delete_topics(&[TOPIC, DEAD], &AdminOptions::new())
        .await?
    {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
