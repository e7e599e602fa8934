//! A port that closes every connection, as one that expects TLS does: what a client says, and at which
//! level of its log.
//!
//! Guarantee: the reason is in the client's log at level Info. The level is fixed when the configuration
//! is made, and Error where no logger asks for more; the error callback never gets this reason.
//!
//! Run: `cargo run --example kafka_error_log`

use std::{
    collections::BTreeSet,
    env,
    io::Read,
    mem,
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, ClientContext,
    admin::AdminClient,
    client::DefaultClientContext,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

/// What a client has said.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<BTreeSet<String>>>);

// ANCHOR: log
impl ClientContext for Said {
    fn log(&self, level: RDKafkaLogLevel, _facility: &str, text: &str) {
        self.note(format!("log, {level:?}: {}", without_numbers(text)));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.note(format!("callback: {error}: {}", without_numbers(reason)));
    }
}
// ANCHOR_END: log

impl ConsumerContext for Said {}

impl Said {
    fn note(&self, line: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(line);
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as the whole program does; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;

    // Stands for a port that expects TLS.
    let port = TcpListener::bind("127.0.0.1:0")?;
    let address = port.local_addr()?.to_string();
    // Takes each call, hears what is asked, and hangs up.
    thread::spawn(move || {
        let calls = port.incoming().flatten();
        calls.for_each(|mut call| drop(call.read(&mut [0; 4096])));
    });
    let mut config = ClientConfig::new();
    println!("the level that nobody set: {:?}", config.log_level);
    ask(&config, &address)?;
    config.set_log_level(RDKafkaLogLevel::Info);
    println!("set_log_level: {:?}", config.log_level);
    ask(&config, &address)
}

/// Asks for the metadata and prints what the client said meanwhile.
fn ask(config: &ClientConfig, address: &str) -> Result<()> {
    let said = Said::default();
    let mut config = config.clone();
    config.set("bootstrap.servers", address).set("group.id", "kafka-error-log.nobody");
    let client: BaseConsumer<Said> = config.create_with_context(said.clone())?;
    match client.fetch_metadata(None, Duration::from_secs(3)) {
        Err(error) => println!("  fetch_metadata: {error}"),
        Ok(_) => bail!("a port that hangs up answered"),
    }
    client.poll(Duration::from_secs(1)).transpose().err(); // serves the callbacks
    for line in mem::take(&mut *said.0.lock().unwrap_or_else(PoisonError::into_inner)) {
        println!("  {line}");
    }
    Ok(())
}

/// A line without what differs from run to run: the port, the time it took, how often it was said.
fn without_numbers(text: &str) -> String {
    let words = text.split([',', ')']).next().unwrap_or(text).split(' ');
    let words = words.map(|word| match word.split_once("127.0.0.1:") {
        Some((before, _)) => format!("{before}127.0.0.1:PORT/bootstrap:"),
        None if word.ends_with("ms") => "N ms".to_owned(),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}
