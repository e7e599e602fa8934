//! A consumer reads a topic from the beginning and commits what it has processed.
//!
//! Guarantee: at least once: a crash repeats records and loses none. Holds while
//! `enable.auto.offset.store` is off and an offset is stored after the work.
//!
//! Run: `cargo run --example kafka_consume`

use std::{collections::BTreeMap, env, pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, Offset,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    message::BorrowedMessage,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::{signal, sync::Notify, time::timeout};

const TOPIC: &str = "kafka-consume.orders";
const PARTITIONS: i32 = 3;
const GROUP: &str = "kafka-consume.billing";
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
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;

    let options = AdminOptions::new();
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    place_orders(&config).await?;
    let consumed = show(&config).await;
    let groups = gone(admin.delete_groups(&[GROUP], &options).await?);
    consumed.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let (mut read, enough) = (BTreeMap::<_, Vec<_>>::new(), Notify::new());
    let work = |message: &BorrowedMessage<'_>| {
        let order = String::from_utf8_lossy(message.payload().unwrap_or_default());
        read.entry(message.partition()).or_default().push(format!("{} {order}", message.offset()));
        if read.values().flatten().count() == ORDERS.len() {
            enough.notify_one();
        }
    };
    let consumed = timeout(Duration::from_secs(30), consume(config, work, &enough)).await;
    let consumer = consumed.context("not all orders within 30 s")??;
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

// ANCHOR: consume
/// Works on each order as a member of `GROUP`, until it is told to stop.
async fn consume(
    config: &ClientConfig,
    mut work: impl FnMut(&BorrowedMessage<'_>),
    told: &Notify,
) -> Result<StreamConsumer> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest") // a new group would start at the end
        .set("enable.auto.offset.store", "false") // only processed records are committed
        .set("session.timeout.ms", "6000") // only for this run; the default, 45 s, suits a service
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    let mut stop = pin!(stopped(told)); // one listener: a new one misses what came before it
    loop {
        let message = tokio::select! {
            stopped = &mut stop => break stopped?,
            message = consumer.recv() => message,
        };
        match message {
            Err(error) if is_passing(&error) => {} // the client connects again by itself
            Err(error) => return Err(error.into()),
            Ok(message) => {
                work(&message);
                consumer.store_offset_from_message(&message)?; // after the work
            }
        }
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(Code::NoOffset)) => Ok(consumer),
        Err(error) => Err(error.into()),
    }
}
// ANCHOR_END: consume

/// Ctrl-C, a container's SIGTERM, or whatever else tells a service to stop.
async fn stopped(told: &Notify) -> Result<()> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let terminated = terminate.recv();
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        pressed = signal::ctrl_c() => Ok(pressed?),
        _ = terminated => Ok(()),
        () = told.notified() => Ok(()),
    }
}

/// Whether an error only says that no broker could be reached just now, or that a poll came late.
fn is_passing(error: &KafkaError) -> bool {
    use Code::{AllBrokersDown, BrokerTransportFailure, PollExceeded, Resolve};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | PollExceeded | Resolve))
}

async fn place_orders(config: &ClientConfig) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("partitioner", "murmur2_random");
    let producer: FutureProducer = safe.set("message.timeout.ms", "10000").create()?;
    for (customer, order) in ORDERS {
        let record = FutureRecord::to(TOPIC).key(customer).payload(order);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("{} orders placed in {TOPIC}, {PARTITIONS} partitions", ORDERS.len());
    Ok(())
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
