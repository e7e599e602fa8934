//! Settings that the client refuses: what it says, before it has asked any broker.
//!
//! Guarantee: a client that could be created has no setting that is misspelt, out of range or
//! missing from the build. Numbers are the exception: `5s` is taken for 5. Holds for rdkafka with
//! its default features, so without TLS, zstd and most of SASL.
//!
//! Run: `cargo run --example kafka_error_config`

use std::{env, time::Duration};

use anyhow::{Context, Result};
use rdkafka::{
    ClientConfig,
    admin::AdminClient,
    client::DefaultClientContext,
    consumer::BaseConsumer,
    error::{KafkaError, KafkaResult},
    producer::BaseProducer,
};

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

    println!("a name that does not exist");
    try_producer(&config, "bootstrap.server=kafka-1:9092");
    try_producer(&config, "key.serializer=StringSerializer"); // Java's

    println!("a value that is none");
    try_producer(&config, "acks=most");
    try_producer(&config, "linger.ms=3600000");
    try_consumer(&config, "auto.offset.reset=none"); // Java's; here it is error
    try_consumer(&config, "auto.offset.reset=by_duration:PT1H");
    try_producer(&config, "message.timeout.ms=5s");
    let mut read = config.clone();
    read.set("message.timeout.ms", "5s");
    let understood = read.create_native_config()?.get("message.timeout.ms")?;
    println!("      and taken for {understood} milliseconds");

    println!("what this build of the client does not have");
    // ANCHOR: missing
    try_producer(&config, "security.protocol=SSL");
    try_producer(&config, "security.protocol=SASL_SSL");
    try_producer(&config, "ssl.ca.location=/etc/ssl/ca.pem");
    let sasl = "security.protocol=SASL_PLAINTEXT";
    try_producer(&config, sasl); // the default mechanism is Kerberos
    for mechanism in ["SCRAM-SHA-512", "OAUTHBEARER", "PLAIN"] {
        try_producer(&config, &format!("{sasl} sasl.mechanism={mechanism}"));
    }
    try_producer(&config, "compression.type=zstd");
    // ANCHOR_END: missing

    println!("settings that contradict each other");
    try_producer(&config, "enable.idempotence=true acks=1");
    try_producer(&config, "enable.idempotence=true max.in.flight=10");
    try_producer(&config, "transactional.id=billing enable.idempotence=false");
    try_consumer(&config, "session.timeout.ms=45000 max.poll.interval.ms=30000");
    try_consumer(&config, "group.protocol=consumer session.timeout.ms=45000");
    try_consumer(&config, "partition.assignment.strategy=cooperative-sticky,range");

    let features = config.create_native_config()?.get("builtin.features")?;
    println!("this build has: {features}");
    Ok(())
}

fn try_producer(config: &ClientConfig, settings: &str) {
    let producer: KafkaResult<BaseProducer> = with(config, settings).create();
    report(settings, producer.err());
}

fn try_consumer(config: &ClientConfig, settings: &str) {
    let settings = format!("group.id=kafka-error-config.billing {settings}");
    let consumer: KafkaResult<BaseConsumer> = with(config, &settings).create();
    report(&settings, consumer.err());
}

fn with(config: &ClientConfig, settings: &str) -> ClientConfig {
    let mut config = config.clone();
    for (name, value) in settings.split(' ').filter_map(|s| s.split_once('=')) {
        config.set(name, value);
    }
    config
}

fn report(settings: &str, error: Option<KafkaError>) {
    println!("  {settings}");
    match error {
        // The text of a value out of range has a line break in it.
        Some(error) => println!("      {}", error.to_string().replace('\n', "")),
        None => println!("      accepted"),
    }
}
