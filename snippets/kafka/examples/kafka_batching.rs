//! Awaiting each receipt sends one record at a time; sending first and awaiting later, batches.
//!
//! Guarantee: every counted record is stored by all in-sync replicas. Requests are counted by the
//! client; how many times faster is a matter of this run and this machine.
//!
//! Run: `cargo run --example kafka_batching`

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{sync::watch, time};

const TOPIC: &str = "kafka-batching.orders";
const ORDERS: i64 = 500;

/// Hands on what the client counts.
struct Counter(watch::Sender<Statistics>);

impl ClientContext for Counter {
    fn stats(&self, statistics: Statistics) {
        self.0.send_replace(statistics);
    }
}

struct Sent {
    seconds: f64,
    requests: i64,
}

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

    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let compared = compare(&config).await;
    let cleaned = remove_topic(&admin).await;
    compared.and(cleaned)
}

async fn compare(config: &ClientConfig) -> Result<()> {
    println!("{ORDERS} orders, linger.ms=5 as by default");
    let awaited = send(config, "5", true).await?;
    println!("  each receipt awaited: {} requests", awaited.requests);

    let at_once = send(config, "5", false).await?;
    println!("  sent at once: {} 10 requests", size(at_once.requests as f64, 10.0));
    let times = awaited.seconds / at_once.seconds;
    println!("    {} 5 times as fast", size(times, 5.0));
    println!("    in this run {times:.0} times");

    println!("{ORDERS} orders, linger.ms=0");
    let eager = send(config, "0", true).await?;
    println!("  each receipt awaited: {} requests", eager.requests);
    let times = awaited.seconds / eager.seconds;
    println!("    {} 2 times as fast", size(times, 2.0));
    println!("    in this run {times:.0} times");
    Ok(())
}

/// Sends the orders and returns how long it took and how many requests it were.
async fn send(config: &ClientConfig, linger_ms: &str, one_by_one: bool) -> Result<Sent> {
    eprintln!("sending");
    let (counter, mut counted) = watch::channel(Statistics::default());
    let producer: FutureProducer<Counter> = config
        .clone()
        .set("linger.ms", linger_ms) // how long a record waits for others
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .set("statistics.interval.ms", "100")
        .create_with_context(Counter(counter))?;
    let queue = |number: i64| {
        let order = format!("order {number}: placed");
        let record = FutureRecord::to(TOPIC).key("shop-1").payload(&order);
        producer.send_result(record).map_err(|(error, _)| error)
    };
    queue(0)?.await?.map_err(|(error, _)| error)?; // connects; not timed

    let start = Instant::now();
    // ANCHOR: send
    let mut receipts = Vec::new();
    for number in 1..=ORDERS {
        let receipt = queue(number)?;
        if one_by_one {
            receipt.await?.map_err(|(error, _)| error)?; // a round trip for each record
        } else {
            receipts.push(receipt); // meanwhile the client sends batches
        }
    }
    for receipt in receipts {
        receipt.await?.map_err(|(error, _)| error)?;
    }
    // ANCHOR_END: send
    let seconds = start.elapsed().as_secs_f64();

    let all = counted.wait_for(|so_far| so_far.txmsgs > ORDERS);
    let statistics = time::timeout(Duration::from_secs(10), all).await;
    let statistics = statistics.context("no statistics of all orders within 10 s")??;
    let brokers = statistics.brokers.values();
    let requests: i64 = brokers.filter_map(|broker| broker.req.get("Produce")).sum();
    let requests = requests - 1; // the untimed one
    Ok(Sent { seconds, requests })
}

fn size(value: f64, limit: f64) -> &'static str {
    if value < limit { "fewer than" } else { "at least" }
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
