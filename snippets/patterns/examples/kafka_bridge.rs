//! A bridge from Kafka to RabbitMQ that loses nothing: it commits an offset after the confirm.
//!
//! Guarantee: at least once, in order. A bridge that dies between confirm and commit sends a record
//! again, with the same message id: topic, partition and offset name it for good.
//!
//! Run: `cargo run --example kafka_bridge`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
    uri::AMQPUri,
};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPICS: [&str; 1] = ["kafka-bridge.orders"];
const GROUPS: [&str; 1] = ["kafka-bridge.to-rabbitmq"];
const QUEUE: &str = "kafka-bridge.jobs";

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
    let connection = connect().await?;
    let jobs = connection.create_channel().await?;
    jobs.confirm_select(ConfirmSelectOptions::default()).await?;
    jobs.queue_delete(QUEUE.into(), Default::default()).await?; // left by a run that was cut off
    let lasting = QueueDeclareOptions::durable();
    jobs.queue_declare(QUEUE.into(), lasting, FieldTable::default()).await?;

    let options = AdminOptions::new();
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config, &jobs).await;
    let groups = admin.delete_groups(&GROUPS, &options).await?;
    let topics = admin.delete_topics(&TOPICS, &options).await?;
    shown?; // a blocked connection would hold what follows for ever
    jobs.queue_delete(QUEUE.into(), Default::default()).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    gone(groups).and(gone(topics))
}

async fn show(config: &ClientConfig, jobs: &Channel) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    for order in ["order 17", "order 18", "order 19"] {
        let record: FutureRecord<str, _> = FutureRecord::to(TOPICS[0]).payload(order);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("in Kafka: order 17, order 18, order 19");
    bridge(config, jobs, Some(2)).await?;
    println!("the bridge moved 2, and dies before its second commit");
    bridge(config, jobs, None).await?;
    while let Some(job) = jobs.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await? {
        let id = job.properties.message_id().as_ref().context("no message id")?;
        println!("in RabbitMQ: {}, {id}", String::from_utf8_lossy(&job.data));
    }
    Ok(())
}

// ANCHOR: bridge
/// Moves what is not committed. `dies_after`: as a crash would end it, between confirm and commit.
async fn bridge(config: &ClientConfig, jobs: &Channel, dies_after: Option<usize>) -> Result<()> {
    let mut by_hand = config.clone();
    by_hand.set("group.id", GROUPS[0]).set("session.timeout.ms", "6000");
    by_hand.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
    by_hand.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    let consumer: StreamConsumer = by_hand.create()?;
    consumer.subscribe(&TOPICS)?;
    let mut moved = 0;
    while let Some(record) = next(&consumer).await? {
        let id = format!("{}/{}/{}", record.topic(), record.partition(), record.offset());
        publish(jobs, &id, record.payload().context("no payload")?).await?;
        moved += 1;
        if dies_after == Some(moved) {
            break;
        }
        consumer.store_offset_from_message(&record)?;
        consumer.commit_consumer_state(CommitMode::Sync)?; // blocks; nothing else runs
    }
    Ok(())
}

/// Ends when RabbitMQ has the job: confirmed, and not returned.
async fn publish(jobs: &Channel, id: &str, data: &[u8]) -> Result<()> {
    let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(id.into());
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm = async {
        jobs.basic_publish("".into(), QUEUE.into(), options, data, properties).await?.await
    };
    let confirmed = timeout(Duration::from_secs(10), confirm).await.context("no confirm")??;
    ensure!(confirmed == Confirmation::Ack(None), "no queue took {id}");
    Ok(())
}
// ANCHOR_END: bridge

async fn connect() -> Result<Connection> {
    let uri = env::var("AMQP_URL").unwrap_or("amqp://localhost:5672/%2f".to_owned());
    let uri: AMQPUri = uri.parse().map_err(Error::msg).context("AMQP_URL is no AMQP address")?;
    let broker = format!("{}:{}", uri.authority.host, uri.authority.port);
    // A port that accepts and then says nothing would hold the handshake for ever.
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    timeout(Duration::from_secs(5), connecting)
        .await
        .map_err(Error::from)
        .and_then(|connected| connected.map_err(Error::from))
        .with_context(|| {
            format!(
                "cannot use RabbitMQ at {broker}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })
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
