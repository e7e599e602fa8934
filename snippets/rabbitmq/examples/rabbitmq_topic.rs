//! A topic exchange matches routing keys against patterns: `*` is one word, `#` any number of words.
//!
//! Guarantee: a confirmed message is once in every queue with a binding that matched, however many
//! of its bindings did. Words are separated by dots; a pattern is no regular expression.
//!
//! Run: `cargo run --example rabbitmq_topic`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::timeout;

const EXCHANGE: &str = "rabbitmq-topic.events";
const QUEUES: [&str; 5] = [
    "rabbitmq-topic.logs-star",
    "rabbitmq-topic.logs-hash",
    "rabbitmq-topic.eu-payroll",
    "rabbitmq-topic.us-hr",
    "rabbitmq-topic.everything",
];
const BINDINGS: [(&str, &str); 6] = [
    ("rabbitmq-topic.logs-star", "logs.*"),
    ("rabbitmq-topic.logs-hash", "logs.#"),
    ("rabbitmq-topic.eu-payroll", "eu.payroll.*"),
    ("rabbitmq-topic.us-hr", "us.hr.*"),
    ("rabbitmq-topic.everything", "#"),
    ("rabbitmq-topic.everything", "logs.error"), // matches as well, and makes no second copy
];
const MESSAGES: [(&str, &str); 6] = [
    ("logs", "log rotated"),
    ("logs.error", "card declined"),
    ("logs.error.critical", "disk full"),
    ("eu.payroll.run", "salaries for November"),
    ("us.hr.hired", "welcome, Ann"),
    ("us.payroll.run", "salaries, elsewhere"),
];
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
/// Declares the exchange and the queues, and binds them.
async fn setup(channel: &Channel) -> Result<()> {
    println!("setup");
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, none()).await?;
    for queue in QUEUES {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?;
    }
    let options = QueueBindOptions::default;
    for (queue, key) in BINDINGS {
        channel.queue_bind(queue.into(), EXCHANGE.into(), key.into(), options(), none()).await?;
        println!("  {queue} is bound with {key}");
    }
    Ok(())
}

/// Publishes each message and waits until the broker has confirmed it.
async fn publish(channel: &Channel) -> Result<()> {
    println!("publish");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for (key, text) in MESSAGES {
        let confirm = async {
            channel
                .basic_publish(
                    EXCHANGE.into(),
                    key.into(),
                    MANDATORY,
                    text.as_bytes(),
                    BasicProperties::default().with_delivery_mode(2), // persistent
                )
                .await?
                .await
        };
        // A broker short of memory or disk confirms nothing for as long as that lasts.
        let confirmation =
            timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
        ensure!(confirmation == Confirmation::Ack(None), "RabbitMQ refused or returned {text:?}");
        println!("  {key}: {text}");
    }
    Ok(())
}

/// Shows what is in each queue.
async fn consume(channel: &Channel) -> Result<()> {
    println!("consume");
    for queue in QUEUES {
        println!("  {queue}: {:?}", take_all(channel, queue).await?);
    }
    Ok(())
}
// ANCHOR_END: steps

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

/// Deletes the exchange and the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    Ok(())
}
