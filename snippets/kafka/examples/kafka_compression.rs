//! The bytes that a producer sends, by codec, with full batches and with one record in each.
//!
//! Guarantee: every counted record is stored by all in-sync replicas. The bytes are counted by the
//! client; their ratio depends on what the records are.
//!
//! Run: `cargo run --example kafka_compression`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{sync::watch, time};

const TOPIC: &str = "kafka-compression.orders";
const ORDERS: i64 = 5000;

/// Hands on what the client counts.
struct Counter(watch::Sender<Statistics>);

impl ClientContext for Counter {
    fn stats(&self, statistics: Statistics) {
        self.0.send_replace(statistics);
    }
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
    let plain = send(config, "none", "10000").await?;
    println!("{ORDERS} orders as JSON, bytes sent against those without compression");
    for (codec, batch) in
        [("snappy", "10000"), ("lz4", "10000"), ("gzip", "10000"), ("lz4", "1"), ("gzip", "1")]
    {
        let percent = send(config, codec, batch).await? * 100 / plain;
        let size = match percent {
            0..50 => "less than half",
            50..=100 => "half to all",
            _ => "more than all",
        };
        println!("  {codec}, up to {batch} in a batch: {size}");
        println!("    in this run {percent} %");
    }
    let zstd: Result<FutureProducer, _> = config.clone().set("compression.type", "zstd").create();
    match zstd {
        Ok(_) => println!("  zstd: available"),
        Err(_) => println!("  zstd: not in this build of the client"),
    }
    Ok(())
}

/// Sends the orders and returns how many bytes it were.
async fn send(config: &ClientConfig, codec: &str, batch: &str) -> Result<u64> {
    eprintln!("sending, {codec}");
    let (counter, mut counted) = watch::channel(Statistics::default());
    // ANCHOR: send
    let producer: FutureProducer<Counter> = config
        .clone()
        .set("compression.type", codec)
        .set("batch.num.messages", batch) // no more records than this in one batch
        .set("linger.ms", "50") // wait for a batch to fill
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "120000")
        .set("statistics.interval.ms", "100")
        .create_with_context(Counter(counter))?;

    let mut receipts = Vec::new();
    for number in 1..=ORDERS {
        let (customer, cents) = (number * 7 % 1000, number * 31 % 10_000);
        let order = format!(
            r#"{{"order":{number},"customer":"customer-{customer}","cents":{cents},"status":"placed"}}"#
        );
        let record = FutureRecord::to(TOPIC).key("shop-1").payload(&order);
        receipts.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    // ANCHOR_END: send
    for receipt in receipts {
        receipt.await?.map_err(|(error, _)| error)?;
    }
    let all = async {
        counted.wait_for(|so_far| so_far.txmsgs >= ORDERS).await?;
        // Those may have been taken before the last bytes were counted; the ones after the next not.
        counted.changed().await?;
        counted.changed().await
    };
    let limit = time::timeout(Duration::from_secs(10), all).await;
    limit.context("no statistics of all orders within 10 s")??;
    let bytes: u64 = counted.borrow().brokers.values().map(|broker| broker.txbytes).sum();
    ensure!(bytes > 0, "{codec}: no bytes counted for {ORDERS} orders");
    Ok(bytes)
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
