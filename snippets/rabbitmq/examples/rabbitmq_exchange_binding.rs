//! An exchange bound to another: the regional one gets its share of what the global one is sent.
//!
//! Guarantee: a message is routed through both as if the queues of the second were bound to the
//! first by the two keys together; each queue gets one copy.
//!
//! Run: `cargo run --example rabbitmq_exchange_binding`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::timeout;

const GLOBAL: &str = "rabbitmq-exchange-binding.events";
const EUROPE: &str = "rabbitmq-exchange-binding.europe";
const QUEUES: [&str; 2] =
    ["rabbitmq-exchange-binding.eu-payroll", "rabbitmq-exchange-binding.all-payroll"];
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
    for exchange in [GLOBAL, EUROPE] {
        channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, none()).await?;
    }
    let options = ExchangeBindOptions::default();
    channel // destination first
        .exchange_bind(EUROPE.into(), GLOBAL.into(), "eu.#".into(), options, none())
        .await?;
    println!("  {EUROPE} is bound to {GLOBAL} with eu.#");
    for (queue, exchange) in [(QUEUES[0], EUROPE), (QUEUES[1], GLOBAL)] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?;
        let (key, options) = ("*.payroll.*", QueueBindOptions::default());
        channel.queue_bind(queue.into(), exchange.into(), key.into(), options, none()).await?;
        println!("  {queue} is bound to {exchange} with {key}");
    }
    Ok(())
}

async fn publish(channel: &Channel) -> Result<()> {
    println!("publish to {GLOBAL}");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    publish_to(channel, GLOBAL, "eu.payroll.run", "salaries in Bonn").await?;
    publish_to(channel, GLOBAL, "us.payroll.run", "salaries in Boston").await
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
                MANDATORY,
                text.as_bytes(),
                BasicProperties::default().with_delivery_mode(2),
            )
            .await?
            .await
    };
    // A broker short of memory or disk confirms nothing for as long as that lasts.
    let confirmation =
        timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
    ensure!(confirmation == Confirmation::Ack(None), "RabbitMQ refused or returned {text:?}");
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
    for exchange in [GLOBAL, EUROPE] {
        channel.exchange_delete(exchange.into(), Default::default()).await?;
    }
    Ok(())
}
