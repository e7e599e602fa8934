//! Many small records: a producer with a polling thread, one with futures, and a consumer.
//!
//! Guarantee: every counted record was stored by all in-sync replicas, once. Holds with
//! `enable.idempotence`, and because the count ends after `flush`, with no failure reported.
//!
//! Run: `cargo run --example kafka_throughput`

use std::{
    collections::VecDeque,
    env,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{
        BaseRecord, DeliveryResult, FutureProducer, FutureRecord, Producer, ProducerContext,
        ThreadedProducer,
    },
};

const TOPIC: &str = "kafka-throughput.log-lines";
const GROUP: &str = "kafka-throughput.archive";
const PARTITIONS: i32 = 3;
const RECORDS: usize = 200_000;
const LINE: [u8; 100] = [b'x'; 100];
const IN_FLIGHT: usize = 20_000;

#[derive(Clone, Default)]
struct Failures(Arc<AtomicUsize>);

impl ClientContext for Failures {}

impl ProducerContext for Failures {
    type DeliveryOpaque = ();

    fn delivery(&self, receipt: &DeliveryResult<'_>, (): ()) {
        if receipt.is_err() {
            self.0.fetch_add(1, Relaxed);
        }
    }
}

fn experiment(c: &mut ClientConfig, var: &str) {
    if let Ok(x) = env::var(var) {
        for kv in x.split(',').filter(|s| !s.is_empty()) {
            if let Some((k, v)) = kv.split_once('=') {
                c.set(k, v);
            }
        }
    }
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
    let records = match env::args().nth(1) {
        Some(records) => records.parse()?,
        None => RECORDS,
    };
    remove_topic(&admin).await?;
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let s = Instant::now();
    threaded(&config, records)?;
    println!("threaded {:.0}", records as f64 / s.elapsed().as_secs_f64());
    let s = Instant::now();
    consume(&config, records)?;
    println!("consume {:.0}", records as f64 / s.elapsed().as_secs_f64());
    let s = Instant::now();
    futures(&config, records).await?;
    println!("futures {:.0}", records as f64 / s.elapsed().as_secs_f64());
    remove_topic(&admin).await
}

fn threaded(config: &ClientConfig, records: usize) -> Result<()> {
    let mut config = config.clone();
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "60000");
    experiment(&mut config, "XP");
    let failures = Failures::default();
    let producer: ThreadedProducer<Failures> = config.create_with_context(failures.clone())?;
    for _ in 0..records {
        let mut record = BaseRecord::<(), [u8]>::to(TOPIC).payload(&LINE[..]);
        while let Err((error, back)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(1));
            record = back;
        }
    }
    producer.flush(Duration::from_secs(60))?;
    ensure!(failures.0.load(Relaxed) == 0, "failed");
    Ok(())
}

async fn futures(config: &ClientConfig, records: usize) -> Result<()> {
    let mut config = config.clone();
    config
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "60000");
    experiment(&mut config, "XF");
    let n: usize = env::var("XN")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(IN_FLIGHT);
    let producer: FutureProducer = config.create()?;
    let mut waiting = VecDeque::with_capacity(n);
    for _ in 0..records {
        if waiting.len() == n {
            if let Some(oldest) = waiting.pop_front() {
                let oldest: rdkafka::producer::DeliveryFuture = oldest;
                oldest.await?.map_err(|(error, _)| error)?;
            }
        }
        let record = FutureRecord::<(), [u8]>::to(TOPIC).payload(&LINE[..]);
        waiting.push_back(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    for receipt in waiting {
        receipt.await?.map_err(|(error, _)| error)?;
    }
    Ok(())
}

fn consume(config: &ClientConfig, records: usize) -> Result<()> {
    let mut config = config.clone();
    config
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest")
        .set("session.timeout.ms", "6000");
    experiment(&mut config, "XC");
    let consumer: BaseConsumer = config.create()?;
    consumer.subscribe(&[TOPIC])?;
    let mut bytes = 0;
    let mut read = 0;
    let mut last = Instant::now();
    while read < records {
        match consumer.poll(Duration::from_secs(1)) {
            Some(m) => {
                bytes += m?.payload_len();
                read += 1;
                if read % 1000 == 0 {
                    last = Instant::now();
                }
            }
            None => ensure!(last.elapsed() < Duration::from_secs(30), "nothing"),
        }
    }
    println!("{bytes}");
    Ok(())
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
