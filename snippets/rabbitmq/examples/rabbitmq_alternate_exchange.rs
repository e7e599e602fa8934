//! An alternate exchange takes what no binding of its exchange wants.
//!
//! Guarantee: a confirmed message is in a queue of the exchange or in one of its alternate. Holds as
//! long as the alternate exists and has a queue; otherwise the message is dropped as before.
//!
//! Run: `cargo run --example rabbitmq_alternate_exchange`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const EXCHANGE: &str = "rabbitmq-alternate-exchange.orders";
const ALTERNATE: &str = "rabbitmq-alternate-exchange.unrouted";
const QUEUES: [&str; 2] =
    ["rabbitmq-alternate-exchange.germany", "rabbitmq-alternate-exchange.nobody"];

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
    setup(&channel).await?;
    publish(&channel).await?;
    consume(&channel).await?;
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

// ANCHOR: steps
async fn setup(channel: &Channel) -> Result<()> {
    println!("setup");
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    let mut alternate = none();
    alternate.insert("alternate-exchange".into(), AMQPValue::LongString(ALTERNATE.into()));
    for (exchange, kind, arguments, queue, key) in [
        (ALTERNATE, ExchangeKind::Fanout, none(), QUEUES[1], ""),
        (EXCHANGE, ExchangeKind::Direct, alternate, QUEUES[0], "de"),
    ] {
        channel.exchange_declare(exchange.into(), kind, durable, arguments).await?;
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none()).await?;
        println!("  {queue} is bound to {exchange}");
    }
    Ok(())
}

async fn publish(channel: &Channel) -> Result<()> {
    println!("publish to {EXCHANGE}");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    publish_to(channel, EXCHANGE, "de", "order from Bonn").await?;
    publish_to(channel, EXCHANGE, "fr", "order from Lyon").await
}

async fn consume(channel: &Channel) -> Result<()> {
    println!("consume");
    for queue in QUEUES {
        println!("  {queue}: {:?}", take_all(channel, queue).await?);
    }
    Ok(())
}
// ANCHOR_END: steps

/// Publishes a persistent message and waits for the broker's answer.
async fn publish_to(channel: &Channel, exchange: &str, key: &str, text: &str) -> Result<()> {
    let confirm = async {
        channel
            .basic_publish(
                exchange.into(),
                key.into(),
                BasicPublishOptions::default(),
                text.as_bytes(),
                BasicProperties::default().with_delivery_mode(2),
            )
            .await?
            .await
    };
    // A broker short of memory or disk confirms nothing for as long as that lasts.
    let confirmation =
        timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
    ensure!(confirmation.is_ack(), "RabbitMQ refused {text:?}");
    println!("  {key}: {text}");
    Ok(())
}

/// Consumes what is ready in a queue, in order, acknowledging each message after it was handled.
async fn take_all(channel: &Channel, queue: &str) -> Result<Vec<String>> {
    let passive = QueueDeclareOptions::default().passive(); // makes nothing, and counts
    let ready = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut messages =
        channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?;
    let mut taken = Vec::new();
    while taken.len() < ready.message_count() as usize {
        let message = timeout(Duration::from_secs(10), messages.next()).await;
        let message = message.context("no message within 10 s")?.context("cancelled")??;
        taken.push(String::from_utf8_lossy(&message.data).into_owned());
        ensure!(message.ack(BasicAckOptions::default()).await?, "not acknowledged");
    }
    Ok(taken)
}

/// Deletes the exchanges and the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    for exchange in [EXCHANGE, ALTERNATE] {
        channel.exchange_delete(exchange.into(), Default::default()).await?;
    }
    Ok(())
}
