//! A poison message on a quorum queue: reject counts towards the limit, nack does not.
//!
//! Guarantee: a message that is rejected with requeue, or whose consumer dies, is delivered at most
//! limit + 1 times. Not with nack and requeue, on 4.3 and later: that can go on for ever.
//!
//! Run: `cargo run --example rabbitmq_delivery_limit`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicRejectOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-delivery-limit.orders";
const LIMIT: i32 = 3; // 20 by default
const PATIENCE: u32 = 50;

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
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(LIMIT));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    println!("{QUEUE}: a quorum queue with a delivery limit of {LIMIT}");

    // ANCHOR: loops
    publish(&channel).await?;
    let mut deliveries = 0;
    while let Some(order) = next(&channel).await? {
        deliveries += 1;
        order.reject(BasicRejectOptions { requeue: true }).await?;
    }
    println!("reject with requeue: delivered {deliveries} times, then dropped");

    publish(&channel).await?;
    let mut deliveries = 0;
    while let Some(order) = next(&channel).await? {
        deliveries += 1;
        if deliveries == PATIENCE {
            let count = |name| order.properties.headers().as_ref()?.inner().get(name).cloned();
            println!("nack with requeue: delivered {deliveries} times, and it would go on");
            println!("  x-acquired-count: {:?}", count("x-acquired-count"));
            println!("  x-delivery-count: {:?}", count("x-delivery-count"));
            order.reject(BasicRejectOptions { requeue: false }).await?;
        } else {
            order.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
        }
    }
    // ANCHOR_END: loops
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn publish(channel: &Channel) -> Result<()> {
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, b"order 1", properties).await?.await
    };
    timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
    Ok(())
}

/// The message, or nothing when the queue is empty. A message that was given back needs a moment.
async fn next(channel: &Channel) -> Result<Option<Delivery>> {
    for _ in 0..20 {
        if let Some(got) = channel.basic_get(QUEUE.into(), BasicGetOptions::default()).await? {
            return Ok(Some(got.delivery));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(None)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
