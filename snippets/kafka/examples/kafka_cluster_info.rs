//! Asks a cluster for its id and its brokers.
//!
//! Guarantee: none; it is what the broker that was asked knows at this moment. Any broker of the
//! cluster answers for all.
//!
//! Run: `cargo run --example kafka_cluster_info`

use std::{env, time::Duration};

use anyhow::{Context, Result};
use rdkafka::{ClientConfig, admin::AdminClient, client::DefaultClientContext};

const LIMIT: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // ANCHOR: info
    let client = admin.inner();
    let metadata = client.fetch_metadata(None, LIMIT).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up"
        )
    })?;
    let id = client.fetch_cluster_id(LIMIT).context("no cluster id")?;
    println!("cluster {id}");
    println!("brokers: {}", metadata.brokers().len());
    for broker in metadata.brokers() {
        println!("  {}: {}:{}", broker.id(), broker.host(), broker.port());
    }
    // ANCHOR_END: info
    Ok(())
}
