//! A small service with one producer, shared by all its tasks, and one consumer for its group.
//!
//! Guarantee: at least once: an order's offset is stored when its invoice is acknowledged. Holds for
//! every clone of the producer: they are handles to one client with one set of connections.
//!
//! Run: `cargo run --example kafka_service`

use std::{collections::BTreeSet, env, pin::pin, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{FutureProducer, FutureRecord, Producer},
    util::Timeout,
};
use tokio::{
    signal,
    task::JoinSet,
    time::{Instant, sleep_until},
};

const ORDERS: &str = "kafka-service.orders";
const INVOICES: &str = "kafka-service.invoices";
const TOPICS: [&str; 2] = [ORDERS, INVOICES];
const GROUP: &str = "kafka-service.billing";
const LIMIT: Duration = Duration::from_secs(30);
const REQUESTS: u32 = 20;

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

    let options = AdminOptions::new();
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|t| NewTopic::new(t, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = admin.delete_groups(&[GROUP], &options).await?;
    let topics = admin.delete_topics(&TOPICS, &options).await?;
    shown.and(gone(groups)).and(gone(topics))
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer = connect(config)?; // once, when the service starts
    place_order(producer.clone(), 0).await?; // the first record opens the connection

    let (clients, shared) = serve(|| Ok(producer.clone())).await?;
    println!("{REQUESTS} requests at once, one shared producer: all placed");
    println!("  Kafka clients at work: {clients}");

    let (clients, own) = serve(|| connect(config)).await?;
    println!("{REQUESTS} requests at once, a producer for each: all placed");
    println!("  Kafka clients at work: {clients}");
    let times = own.as_secs_f64() / shared.as_secs_f64();
    let at_least_5 = if times >= 5.0 { "yes" } else { "no" };
    println!("  took {times:.0} times as long\n  at least 5 times: {at_least_5}");
    println!("{} invoices written for them", bill(config, &producer).await?);
    Ok(())
}

// ANCHOR: shared
/// A request handler. Its producer is a clone: a reference count, and no connection.
async fn place_order(producer: FutureProducer, number: u32) -> Result<()> {
    let order = format!("order {number}");
    send(&producer, ORDERS, &order).await
}

/// The service's one consumer: an invoice for each order, until it is told to stop.
async fn bill(config: &ClientConfig, producer: &FutureProducer) -> Result<u32> {
    let mut settings = config.clone();
    settings.set("group.id", GROUP).set("auto.offset.reset", "earliest");
    settings.set("enable.auto.offset.store", "false").set("session.timeout.ms", "6000");
    let consumer: StreamConsumer = settings.create()?;
    consumer.subscribe(&[ORDERS])?;
    let mut billed = 0;
    let mut deadline = Instant::now() + LIMIT;
    let mut stop = pin!(signal::ctrl_c());
    while billed < 2 * REQUESTS + 1 {
        let order = tokio::select! {
            biased;
            _ = &mut stop => break,
            order = consumer.recv() => order,
            () = sleep_until(deadline) => bail!("no order within 30 s"),
        };
        let order = match order {
            Err(error) if is_passing(&error) => continue, // the client connects again by itself
            order => order?,
        };
        let text = order.payload_view::<str>().context("no payload")??;
        send(producer, INVOICES, &format!("invoice for {text}")).await?;
        consumer.store_offset_from_message(&order)?;
        billed += 1;
        deadline = Instant::now() + LIMIT;
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) | Err(KafkaError::ConsumerCommit(Code::NoOffset)) => Ok(billed), // all is committed
        Err(error) => Err(error.into()),
    }
}
// ANCHOR_END: shared

/// Handles all requests at once. Returns how many clients did it, and in which time.
async fn serve(producer: impl Fn() -> Result<FutureProducer>) -> Result<(usize, Duration)> {
    let started = Instant::now();
    let (mut producers, mut requests) = (Vec::new(), JoinSet::new());
    for number in 1..=REQUESTS {
        let producer = producer()?;
        producers.push(producer.clone());
        requests.spawn(place_order(producer, number));
    }
    while let Some(request) = requests.join_next().await {
        request??;
    }
    let took = started.elapsed();
    // Each producer is a handle; what it points to is the client.
    let clients: BTreeSet<_> = producers.iter().map(|p| p.client().native_ptr()).collect();
    Ok((clients.len(), took))
}

fn is_passing(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(code, Some(Code::AllBrokersDown | Code::BrokerTransportFailure))
}

fn connect(config: &ClientConfig) -> Result<FutureProducer> {
    let mut safe = config.clone();
    Ok(safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000").create()?)
}

async fn send(producer: &FutureProducer, topic: &str, text: &str) -> Result<()> {
    let record: FutureRecord<str, _> = FutureRecord::to(topic).payload(text);
    producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        let never_was = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound].contains(&code);
        ensure!(never_was, "cannot delete {name}: {code}");
    }
    Ok(())
}
