//! A broker that gives its clients an address at which it can't be reached.
//!
//! Guarantee: the address in `bootstrap.servers` is asked only for the addresses of the brokers;
//! everything else goes to those. Holds for every broker and every client.
//!
//! Run: `cargo run --example kafka_error_advertised`

use std::{
    env,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::RDKafkaErrorCode,
    metadata::MetadataBroker,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{sync::mpsc, time};

const TOPIC: &str = "kafka-error-advertised.orders";

type Sender = mpsc::UnboundedSender<String>;
type Receiver = mpsc::UnboundedReceiver<String>;

/// Passes on what the client logs.
struct Log(Sender);

impl ClientContext for Log {
    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        let (_thread, message) = message.split_once("]: ").unwrap_or(("", message));
        let _ended = self.0.send(message.to_owned());
    }
}

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
    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    // An address that refuses connections: it was free a moment ago.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let (sender, named) = mpsc::unbounded_channel();
    let bootstrap = mislead(metadata.brokers(), closed.port(), sender)?;
    let failed = produce(&bootstrap, named).await;
    let cleaned = remove_topic(&admin).await;
    failed.and(cleaned)
}

/// Finds the broker at one address, and has to send an order to another.
async fn produce(bootstrap: &str, mut named: Receiver) -> Result<()> {
    // ANCHOR: produce
    let (sender, mut log) = mpsc::unbounded_channel();
    let producer: FutureProducer<Log> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("message.timeout.ms", "3000")
        .create_with_context(Log(sender))?;
    println!("bootstrap.servers={bootstrap}");
    println!("answered: find me at {}", next(&mut named).await?);

    let order: FutureRecord<'_, str, str> = FutureRecord::to(TOPIC).payload("order 1: placed");
    match producer.send(order, Duration::ZERO).await {
        Ok(_) => bail!("delivered"),
        Err((error, _)) => println!("delivery report: {error}"),
    }
    println!("log: {}", next(&mut log).await?);
    // ANCHOR_END: produce
    Ok(())
}

/// The next thing that is said.
async fn next(said: &mut Receiver) -> Result<String> {
    let next = time::timeout(Duration::from_secs(10), said.recv()).await;
    next.context("nothing said within 10 s")?.context("the other side is gone")
}

/// The brokers with wrong `advertised.listeners`: passes everything on to the first of them, but
/// where an answer names the address of one, puts another port.
fn mislead(brokers: &[MetadataBroker], port: u16, named: Sender) -> Result<String> {
    let first = brokers.first().context("no broker is alive")?;
    let real = format!("{}:{}", first.host(), first.port());
    let ports = |b: &MetadataBroker| (address(b, b.port()), address(b, port.into()));
    let replace: Vec<_> = brokers.iter().map(ports).collect();

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let bootstrap = listener.local_addr()?.to_string();
    thread::spawn(move || -> io::Result<()> {
        for client in listener.incoming() {
            let (mut requests, mut answers) = (client?, TcpStream::connect(&real)?);
            let (mut client, mut broker) = (requests.try_clone()?, answers.try_clone()?);
            let (replace, named) = (replace.clone(), named.clone());
            thread::spawn(move || io::copy(&mut requests, &mut broker));
            thread::spawn(move || -> io::Result<()> {
                let mut buffer = [0; 65536];
                loop {
                    let length = answers.read(&mut buffer)?;
                    if length == 0 {
                        return Ok(());
                    }
                    let answer = &mut buffer[..length];
                    for (right, wrong) in &replace {
                        let named_at = answer.windows(right.len()).position(|part| part == right);
                        if let Some(at) = named_at {
                            answer[at..at + right.len()].copy_from_slice(wrong);
                            let _ended = named.send(format!("port {port}"));
                        }
                    }
                    client.write_all(answer)?;
                }
            });
        }
        Ok(())
    });
    Ok(bootstrap)
}

/// A broker's address as it stands in an answer: the name, then the port.
fn address(broker: &MetadataBroker, port: i32) -> Vec<u8> {
    [broker.host().as_bytes(), &port.to_be_bytes()].concat()
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
