//! A consumer reads a topic from the beginning and commits what it has processed.
//!
//! Guarantee: at least once. A record counts as read only after it was processed, so a crash
//! repeats records and loses none. Holds while `enable.auto.offset.store` is off and the offset
//! is stored after the work.
//!
//! Run: `cargo run --example kafka_consume`

use std::{collections::BTreeMap, env, pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
};
use tokio::{signal, time};

const TOPIC: &str = "kafka-consume.orders";
const PARTITIONS: i32 = 3;
const GROUP: &str = "kafka-consume.billing";
const LIMIT: Duration = Duration::from_secs(30);
const ORDERS: [(&str, &str); 6] = [
    ("customer-1", "order 1: placed"),
    ("customer-2", "order 2: placed"),
    ("customer-1", "order 1: paid"),
    ("customer-3", "order 3: placed"),
    ("customer-2", "order 2: cancelled"),
    ("customer-1", "order 1: shipped"),
];

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

    remove_topic(&admin).await?; // left by a run that was cut off, with its group's offsets
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    place_orders(&config).await?;
    let consumed = consume(&config).await;
    let cleaned = clean_up(&admin).await;
    consumed.and(cleaned)
}

/// Reads the orders as a member of `GROUP`, prints them by partition and commits.
async fn consume(config: &ClientConfig) -> Result<()> {
    // ANCHOR: consume
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest") // a new group would start at the end
        .set("enable.auto.offset.store", "false") // only processed records are committed
        .set("session.timeout.ms", "6000") // a killed member is missed after 6 s, not after 45
        .create()?;
    consumer.subscribe(&[TOPIC])?;

    let mut read: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let mut stop = pin!(signal::ctrl_c()); // one listener: a new one misses what came before it
    let mut left = ORDERS.len();
    let mut deadline = time::Instant::now() + LIMIT;
    while left > 0 {
        let message = tokio::select! {
            biased;
            _ = &mut stop => break,
            message = consumer.recv() => message,
            () = time::sleep_until(deadline) => bail!("no order within 30 s"),
        };
        let message = match message {
            Err(error) if is_passing(&error) => continue, // the client connects again by itself
            message => message?,
        };
        left -= 1;
        deadline = time::Instant::now() + LIMIT;
        let order = String::from_utf8_lossy(message.payload().unwrap_or_default());
        let line = format!("{} {order}", message.offset());
        read.entry(message.partition()).or_default().push(line);
        consumer.store_offset_from_message(&message)?; // after the work
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {} // all is committed
        Err(error) => return Err(error.into()),
    }
    // ANCHOR_END: consume

    for (partition, orders) in &read {
        println!("partition {partition}: {orders:?}");
    }
    // Blocks as well. The list must be gone before the consumer is, or its drop hangs.
    let committed = consumer.committed(Duration::from_secs(5))?;
    for position in committed.elements() {
        if let Offset::Offset(next) = position.offset() {
            println!("committed, partition {}: next is offset {next}", position.partition());
        }
    }
    Ok(())
}

/// Whether an error only says that no broker could be reached just now.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure))
}

/// Puts the orders into the topic, each under its customer's key.
async fn place_orders(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("message.timeout.ms", "10000")
        .create()?;
    let mut receipts = Vec::new();
    for (customer, order) in ORDERS {
        let record = FutureRecord::to(TOPIC).key(customer).payload(order);
        receipts.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for receipt in receipts {
        receipt.await?.map_err(|(error, _)| error)?;
    }
    println!("{} orders placed in {TOPIC}, {PARTITIONS} partitions", ORDERS.len());
    Ok(())
}

/// Removes the topic and the group, if the group ever came to be.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_groups(&[GROUP], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => bail!("cannot delete {group}: {code}"),
        }
    }
    remove_topic(admin).await
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
