//! Publisher confirms: awaited one by one, in batches, and all at once after the last publish.
//!
//! Guarantee: a confirmed message is in the queue: on disk if queue and message are durable, with a
//! majority of its nodes if it is a quorum queue. Holds in all three ways; only the waiting differs.
//!
//! Run: `cargo run --example rabbitmq_confirms`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::{Instant, timeout};

const QUEUE: &str = "rabbitmq-confirms.orders";
const ORDERS: usize = 1000;
const LIMIT: Duration = Duration::from_secs(10);
/// A message that no queue takes comes back, with the confirm.
const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

#[tokio::main]
async fn main() -> Result<()> {
    let uri = env::var("AMQP_URL").unwrap_or("amqp://localhost:5672/%2f".to_owned());
    let uri: AMQPUri = uri.parse().map_err(Error::msg).context("AMQP_URL is no AMQP address")?;
    let broker = format!("{}:{}", uri.authority.host, uri.authority.port);
    // A port that accepts and then says nothing would hold the handshake for ever.
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    let connection = timeout(Duration::from_secs(5), connecting)
        .await
        .map_err(Error::from)
        .and_then(|connected| connected.map_err(Error::from))
        .with_context(|| {
            format!(
                "cannot use RabbitMQ at {broker}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
            )
        })?;
    let channel = connection.create_channel().await?;

    clean_up(&channel).await?; // left by a run that was cut off
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    println!("{ORDERS} persistent orders in {QUEUE}");
    let mut slowest = None;
    for (name, outstanding) in
        [("one by one", 1), ("in batches of 100", 100), ("all at once", ORDERS)]
    {
        eprintln!("publishing {name}");
        let took = publish(&channel, outstanding).await?;
        let slowest = *slowest.get_or_insert(took);
        println!("{name}: {ORDERS} confirmed, in this run {:.1} times as fast", slowest / took);
    }
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

// ANCHOR: confirms
/// Publishes all orders with at most `outstanding` confirms to wait for. Returns the seconds.
async fn publish(channel: &Channel, outstanding: usize) -> Result<f64> {
    let started = Instant::now();
    let mut waiting: Vec<PublisherConfirm> = Vec::new();
    for number in 1..=ORDERS {
        let (options, data) = (MANDATORY, format!("order {number}"));
        let lasting = BasicProperties::default().with_delivery_mode(2);
        let data = data.as_bytes();
        let published = channel.basic_publish("".into(), QUEUE.into(), options, data, lasting);
        waiting.push(timeout(LIMIT, published).await.context("not written within 10 s")??);
        if waiting.len() == outstanding || number == ORDERS {
            for confirm in waiting.drain(..) {
                let confirmed = timeout(LIMIT, confirm).await;
                let confirmed = confirmed.context("no confirm within 10 s")??;
                ensure!(
                    confirmed == Confirmation::Ack(None),
                    "RabbitMQ refused or returned an order"
                );
            }
        }
    }
    Ok(started.elapsed().as_secs_f64())
}
// ANCHOR_END: confirms

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
