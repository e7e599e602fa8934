//! Asks for more replicas than there are brokers, and for as many.
//!
//! Guarantee: a topic is never created with fewer replicas than were asked for. Holds when it is
//! created; a broker that fails later leaves it short.
//!
//! Run: `cargo run --example kafka_replication_factor`

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};

const TOPIC: &str = "kafka-replication-factor.payments";

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
    let shown = show(&admin).await;
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

async fn show(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let limit = Duration::from_secs(5);
    let brokers = admin.inner().fetch_metadata(None, limit)?.brokers().len();
    println!("brokers: {brokers}");
    // ANCHOR: replicas
    for replicas in [brokers as i32 + 2, brokers as i32] {
        let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(replicas));
        for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
            match created {
                Ok(_) => println!("replication factor {replicas}: created"),
                Err((_, code)) => println!("replication factor {replicas}: {code}"),
            }
        }
    }
    // ANCHOR_END: replicas
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
