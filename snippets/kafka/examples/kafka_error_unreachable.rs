//! Addresses at which no broker answers, and what the client says about each.
//!
//! Guarantee: a record that can't be delivered is reported after `message.timeout.ms`. Why it
//! can't, only the client's log says. Holds while the program reads both.
//!
//! Run: `cargo run --example kafka_error_unreachable`

use std::{
    collections::BTreeMap,
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
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

const TOPIC: &str = "kafka-error-unreachable.orders";

// ANCHOR: reasons
/// Passes on what the client says on its own account: errors, and failures in its log.
struct Reasons(mpsc::UnboundedSender<(String, String)>);

impl ClientContext for Reasons {
    fn error(&self, error: KafkaError, reason: &str) {
        let _ended = self
            .0
            .send((format!("callback: {error}"), reason.to_owned()));
    }

    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            let _ended = self
                .0
                .send(("log:      FAIL".to_owned(), message.to_owned()));
        }
    }
}
// ANCHOR_END: reasons

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    let metadata = admin
        .inner()
        .fetch_metadata(None, Duration::from_secs(5))
        .with_context(|| {
            format!(
                "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })?;
    let broker = metadata.brokers().first().context("no broker is alive")?;

    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let tried = try_all(broker.host(), broker.port()).await;
    let cleaned = remove_topic(&admin).await;
    tried.and(cleaned)
}

async fn try_all(host: &str, port: i32) -> Result<()> {
    produce("nothing listens", &closed()?).await?;
    produce("the name is not known", "kafka.invalid:9092").await?;
    produce("the connection is closed, as at a TLS port", &answer(b"")?).await?;
    let http = answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
    produce("a web server listens", &http).await?;
    let misled = mislead(host, port, &closed()?)?;
    produce("the broker advertises another address", &misled).await
}

async fn produce(what: &str, address: &str) -> Result<()> {
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let producer: FutureProducer<Reasons> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("message.timeout.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Info)
        .create_with_context(Reasons(sender))?;
    println!("{what}");
    let order: FutureRecord<'_, str, str> = FutureRecord::to(TOPIC).payload("order 1: placed");
    match producer.send(order, Duration::ZERO).await {
        Ok(_) => bail!("{what}: delivered"),
        Err((error, _)) => println!("  report:   {error}"),
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut first = BTreeMap::new(); // reason of each kind
    while !first.contains_key("log:      FAIL") || !reasons.is_empty() {
        let said = time::timeout_at(deadline, reasons.recv()).await;
        let (kind, reason) = said.context("no reason within 20 s")?.context("no more")?;
        first.entry(kind).or_insert(reason);
    }
    for (kind, reason) in first {
        println!("  {kind}\n      {reason}");
    }
    Ok(())
}

/// An address that refuses connections: it was free a moment ago.
fn closed() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A server that waits for a request, answers the same to each and hangs up.
fn answer(reply: &'static [u8]) -> io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _asked = client.read(&mut [0; 1024]);
            let _answered = client.write_all(reply);
        }
    });
    Ok(address)
}

/// The broker with a wrong `advertised.listeners`: passes everything on, but where the broker
/// names its port, puts that of `wrong`.
fn mislead(host: &str, port: i32, wrong: &str) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let (_, wrong) = wrong.rsplit_once(':').context("no port")?;
    let wrong: i32 = wrong.parse()?;
    let real = format!("{host}:{port}");
    let named = [host.as_bytes(), &port.to_be_bytes()].concat();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(broker) = TcpStream::connect(&real) else {
                return;
            };
            if let (Ok(mut from), Ok(mut to)) = (client.try_clone(), broker.try_clone()) {
                thread::spawn(move || io::copy(&mut from, &mut to));
            }
            let named = named.clone();
            thread::spawn(move || pass_on(broker, client, &named, wrong));
        }
    });
    Ok(address)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, named: &[u8], wrong: i32) -> io::Result<()> {
    let mut buffer = [0; 65536];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let answer = &mut buffer[..length];
        for at in 0..length.saturating_sub(named.len() - 1) {
            if answer[at..].starts_with(named) {
                answer[at + named.len() - 4..at + named.len()]
                    .copy_from_slice(&wrong.to_be_bytes());
            }
        }
        to.write_all(answer)?;
    }
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
