//! A small service with one producer, shared by all its tasks, and one consumer for its group.
//!
//! Guarantee: at least once: an order's offset is stored when its invoice is acknowledged. Holds for
//! every clone of the producer: they are handles to one client with one set of connections.
//!
//! Run: `cargo run --example kafka_service`

use std::{collections::BTreeSet, env, pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
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
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

const ORDERS: &str = "kafka-service.orders";
const INVOICES: &str = "kafka-service.invoices";
const TOPICS: [&str; 2] = [ORDERS, INVOICES];
const GROUP: &str = "kafka-service.billing";
const REQUESTS: u32 = 20;
const LIMIT: Duration = Duration::from_secs(30);
static BILLED: Semaphore = Semaphore::const_new(0); // as many as there are invoices

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
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|t| NewTopic::new(t, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let groups = gone(admin.delete_groups(&[GROUP], &options).await?);
    shown.and(groups).and(gone(admin.delete_topics(&TOPICS, &options).await?))
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
    timeout(LIMIT, bill(config, &producer)).await.context("not all billed within 30 s")??;
    println!("{} invoices written for them", 2 * REQUESTS + 1);
    Ok(())
}

// ANCHOR: shared
/// A request handler. Its producer is a clone: a reference count, and no connection.
async fn place_order(producer: FutureProducer, number: u32) -> Result<()> {
    send(&producer, ORDERS, &format!("order {number}")).await
}

/// The service's one consumer: an invoice for each order, until it is told to stop.
async fn bill(config: &ClientConfig, producer: &FutureProducer) -> Result<()> {
    let mut settings = config.clone();
    settings.set("group.id", GROUP).set("auto.offset.reset", "earliest");
    settings.set("session.timeout.ms", "6000"); // only for this run; the default, 45 s, suits you
    let consumer: StreamConsumer = settings.set("enable.auto.offset.store", "false").create()?;
    consumer.subscribe(&[ORDERS])?;
    let mut stop = pin!(stopped()); // one listener: a new one misses what came before it
    loop {
        let order = tokio::select! {
            stopped = &mut stop => break stopped?,
            order = consumer.recv() => order,
        };
        let order = match order {
            Err(error) if is_passing(&error) => continue, // the client connects again by itself
            order => order?,
        };
        let text = order.payload_view::<str>().context("no payload")??;
        send(producer, INVOICES, &format!("invoice for {text}")).await?;
        consumer.store_offset_from_message(&order)?;
        BILLED.add_permits(1);
    }
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Err(KafkaError::ConsumerCommit(Code::NoOffset)) => Ok(()), // all is committed
        committed => Ok(committed?),
    }
}
// ANCHOR_END: shared

async fn serve(producer: impl Fn() -> Result<FutureProducer>) -> Result<(usize, Duration)> {
    let started = Instant::now();
    let (mut producers, mut requests) = (Vec::new(), JoinSet::new());
    for number in 1..=REQUESTS {
        let producer = producer()?;
        producers.push(producer.clone());
        requests.spawn(place_order(producer, number));
    }
    requests.join_all().await.into_iter().collect::<Result<()>>()?;
    let took = started.elapsed();
    // Each producer is a handle; what it points to is the client.
    let clients: BTreeSet<_> = producers.iter().map(|p| p.client().native_ptr()).collect();
    Ok((clients.len(), took))
}

/// Ctrl-C, a container's SIGTERM, and here also the last invoice.
async fn stopped() -> Result<()> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let terminated = terminate.recv();
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        pressed = signal::ctrl_c() => Ok(pressed?),
        _ = terminated => Ok(()),
        all = BILLED.acquire_many(2 * REQUESTS + 1) => all.map(|permits| permits.forget()).map_err(Into::into),
    }
}

fn is_passing(error: &KafkaError) -> bool {
    use Code::{AllBrokersDown, BrokerTransportFailure, PollExceeded, Resolve};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | PollExceeded | Resolve))
}

fn connect(config: &ClientConfig) -> Result<FutureProducer> {
    let mut safe = config.clone();
    Ok(safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000").create()?)
}

async fn send(producer: &FutureProducer, topic: &str, text: &str) -> Result<()> {
    let record: FutureRecord<str, _> = FutureRecord::to(topic).payload(text);
    Ok(producer.send(record, Timeout::Never).await.map(drop).map_err(|(error, _)| error)?)
}

fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
