//! A poison message on a quorum queue: reject counts towards the limit, nack does not.
//!
//! Guarantee: a message that is rejected with requeue, or whose consumer dies, is delivered at most
//! limit + 1 times. Not with nack and requeue, on 4.3 and later: that can go on for ever.
//!
//! Run: `cargo run --example rabbitmq_delivery_limit`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
        BasicQosOptions, BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-delivery-limit.orders";
const LIMIT: i32 = 3; // 20 by default
const PATIENCE: u32 = 50;
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
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(LIMIT));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    println!("{QUEUE}: a quorum queue with a delivery limit of {LIMIT}");

    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    // ANCHOR: loops
    publish(&channel, b"order 1").await?;
    publish(&channel, b"order 2").await?; // comes when order 1 is gone
    let mut deliveries = 0;
    let mut order = next(&mut orders).await?;
    while order.data == b"order 1" {
        deliveries += 1;
        ensure!(order.reject(BasicRejectOptions { requeue: true }).await?, "not rejected");
        order = next(&mut orders).await?;
    }
    println!("reject with requeue: delivered {deliveries} times, then dropped");

    let mut deliveries = 1;
    while deliveries < PATIENCE {
        let again = BasicNackOptions { requeue: true, ..Default::default() };
        ensure!(order.nack(again).await?, "not given back");
        order = next(&mut orders).await?;
        deliveries += 1;
    }
    println!("nack with requeue: delivered {deliveries} times, and it would go on");
    let count = |name| order.properties.headers().as_ref()?.inner().get(name).cloned();
    println!("  x-acquired-count: {:?}", count("x-acquired-count"));
    println!("  x-delivery-count: {:?}", count("x-delivery-count"));
    ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged");
    // ANCHOR_END: loops
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn publish(channel: &Channel, order: &[u8]) -> Result<()> {
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), MANDATORY, order, lasting).await?.await
    };
    let answer =
        timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned an order");
    Ok(())
}

async fn next(orders: &mut Consumer) -> Result<Delivery> {
    let next = timeout(Duration::from_secs(10), orders.next()).await;
    Ok(next.context("no order within 10 s")?.context("the consumer was cancelled")??)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
