//! Addresses at which no broker answers, and what the client says about each.
//!
//! Guarantee: a record that can't be delivered is reported after `message.timeout.ms`. Why it
//! can't, only the client's log says. Holds while the program reads both.
//!
//! Run: `cargo run --example kafka_error_unreachable`

use std::{
    collections::BTreeSet,
    env,
    io::{self, Read, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, ClientContext,
    admin::AdminClient,
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

const TOPIC: &str = "kafka-error-unreachable.orders";

// ANCHOR: reasons
/// Passes on what the client says on its own account.
struct Reasons(mpsc::UnboundedSender<(&'static str, String)>);

impl ClientContext for Reasons {
    fn error(&self, error: KafkaError, _: &str) {
        let _ended = self.0.send(("callback", error.to_string()));
    }

    fn log(&self, _: RDKafkaLogLevel, _: &str, message: &str) {
        let (_thread, message) = message.split_once("]: ").unwrap_or(("", message));
        let _ended = self.0.send(("log", message.to_owned()));
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
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;

    produce("nothing listens", &closed()?).await?;
    produce("the name is not known", "kafka.invalid:9092").await?;
    produce("the connection is closed, as at a TLS port", &answer(b"")?).await?;
    let http = answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
    produce("a web server listens", &http).await
}

/// Sends an order to the address and prints what the client says about it.
async fn produce(what: &str, address: &str) -> Result<()> {
    let (sender, mut reasons) = mpsc::unbounded_channel();
    let producer: FutureProducer<Reasons> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("message.timeout.ms", "2000")
        .set_log_level(RDKafkaLogLevel::Info)
        .create_with_context(Reasons(sender))?;
    let order: FutureRecord<'_, str, str> = FutureRecord::to(TOPIC).payload("order 1: placed");
    match producer.send(order, Duration::ZERO).await {
        Ok(_) => bail!("{what}: delivered"),
        Err((error, _)) => println!("{what}\n  report:   {error}"),
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut logged, mut errors) = (None, BTreeSet::new());
    while logged.is_none() || !reasons.is_empty() {
        let said = time::timeout_at(deadline, reasons.recv()).await;
        match said.context("nothing logged within 20 s")? {
            Some(("log", reason)) => logged = logged.or(Some(reason)), // the first
            Some((_, error)) => drop(errors.insert(error)),
            None => bail!("the client is gone"),
        }
    }
    errors.iter().for_each(|error| println!("  callback: {error}"));
    logged.iter().for_each(|reason| println!("  log:      {reason}"));
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
