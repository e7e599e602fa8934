//! A lost answer makes the client send again: two copies without idempotence, one with it.
//!
//! Guarantee: with `enable.idempotence` the broker stores a record once, however often the client
//! sends it. Holds for the repeats of one producer, not for what the program sends twice.
//!
//! Run: `cargo run --example kafka_idempotence`

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::{env, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task,
};

const TOPIC: &str = "kafka-idempotence.payments";
const PRODUCE: [u8; 2] = [0, 0]; // how a request that brings records begins
static ANSWER_LOST: AtomicBool = AtomicBool::new(false);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    let metadata =
        admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
            format!(
                "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })?;
    let broker = metadata.brokers().first().context("no broker")?;
    let address = (broker.host().to_owned(), broker.port());
    let replica = [broker.id()];
    let replicas = [&replica[..]];

    for (idempotence, times) in [("false", 1), ("true", 1), ("true", 2)] {
        remove_topic(&admin).await?; // left by a run that was cut off
        let topic = NewTopic::new(TOPIC, 1, TopicReplication::Variable(&replicas));
        for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
            created.map_err(|(_, code)| code)?;
        }
        println!("enable.idempotence={idempotence}, calls of send: {times}");
        let paid = pay(&config, &address, idempotence, times).await;
        remove_topic(&admin).await?;
        paid?;
    }
    Ok(())
}

/// Sends a payment over a network that loses one answer, and counts what the log has.
async fn pay(
    config: &ClientConfig,
    address: &(String, i32),
    idempotence: &str,
    times: u32,
) -> Result<()> {
    ANSWER_LOST.store(false, Relaxed);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let network = listener.local_addr()?;
    let running = task::spawn(lossy_network(listener, network.port(), address.clone()));

    // ANCHOR: pay
    let producer: FutureProducer = config
        .clone()
        .set("bootstrap.servers", network.to_string())
        .set("enable.idempotence", idempotence)
        .set("message.timeout.ms", "10000")
        .create()?;
    for _ in 0..times {
        let record = FutureRecord::to(TOPIC).key("invoice-7").payload("250.00");
        let receipt = producer.send_result(record).map_err(|(error, _)| error)?;
        let stored = receipt.await?.map_err(|(error, _)| error)?;
        println!("  receipt: offset {}", stored.offset);
    }
    // ANCHOR_END: pay
    running.abort();
    ensure!(ANSWER_LOST.load(Relaxed), "the network lost nothing");

    let reader: BaseConsumer = config.create()?;
    let end = move || reader.fetch_watermarks(TOPIC, 0, Duration::from_secs(5));
    let (_, copies) = task::spawn_blocking(end).await??;
    println!("  copies in the log: {copies}");
    Ok(())
}

/// Stands between the producer and the broker.
async fn lossy_network(listener: TcpListener, port: u16, broker: (String, i32)) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        task::spawn(connection(client, port, broker.clone()));
    }
}

// ANCHOR: network
async fn connection(mut client: TcpStream, own: u16, (host, port): (String, i32)) -> Result<()> {
    let (theirs, ours) = (written(&host, port)?, written("127.0.0.1", own.into())?);
    let mut broker = TcpStream::connect((host, u16::try_from(port)?)).await?;
    loop {
        let request = receive(&mut client).await?;
        send(&mut broker, &request).await?;
        let mut answer = receive(&mut broker).await?;
        if request.starts_with(&PRODUCE) && !ANSWER_LOST.swap(true, Relaxed) {
            return Ok(()); // the record is stored, the connection breaks
        }
        // The broker says where it is; the producer is to come here instead.
        if let Some(at) = answer.windows(theirs.len()).position(|part| part == theirs) {
            answer.splice(at..at + theirs.len(), ours.iter().copied());
        }
        send(&mut client, &answer).await?;
    }
}
// ANCHOR_END: network

/// An address as Kafka's protocol has it: length + 1, host, port.
fn written(host: &str, port: i32) -> Result<Vec<u8>> {
    let length = u8::try_from(host.len() + 1)?;
    Ok([&[length], host.as_bytes(), &port.to_be_bytes()].concat())
}

/// A request or an answer, which begins with its length.
async fn receive(from: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = vec![0; from.read_u32().await? as usize];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(to: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    to.write_u32(u32::try_from(bytes.len())?).await?;
    Ok(to.write_all(bytes).await?)
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
