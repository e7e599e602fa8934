//! What becomes of a message that no queue gets: dropped and confirmed, returned, or an error.
//!
//! Guarantee: with `mandatory` and confirms a publisher knows of each message whether a queue got
//! it. Without `mandatory` a confirm says only that the broker is done with it.
//!
//! Run: `cargo run --example rabbitmq_unroutable`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
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

const EXCHANGE: &str = "rabbitmq-unroutable.orders";
const QUEUES: [&str; 1] = ["rabbitmq-unroutable.billing"];

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
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;

    // ANCHOR: steps
    println!("published before a queue is bound");
    publish(&channel, EXCHANGE, "order 1", false).await?;
    println!("the same, mandatory");
    publish(&channel, EXCHANGE, "order 2", true).await?;

    channel.queue_declare(QUEUES[0].into(), QueueDeclareOptions::durable(), none()).await?;
    let (queue, options) = (QUEUES[0].into(), QueueBindOptions::default());
    channel.queue_bind(queue, EXCHANGE.into(), "".into(), options, none()).await?;
    println!("published after the queue is bound, mandatory");
    publish(&channel, EXCHANGE, "order 3", true).await?;
    println!("in the queue: {:?}", take_all(&channel, QUEUES[0]).await?);

    println!("published to an exchange that does not exist");
    let other = connection.create_channel().await?;
    other.confirm_select(ConfirmSelectOptions::default()).await?;
    match publish(&other, "rabbitmq-unroutable.nothing", "order 4", false).await {
        Err(error) => println!("  {error}"),
        Ok(()) => bail!("there is no such exchange"),
    }
    println!("  this channel is open: {}", other.status().connected());
    println!("  the other channel is open: {}", channel.status().connected());
    // ANCHOR_END: steps
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Publishes a message and says what the broker answered.
async fn publish(channel: &Channel, exchange: &str, text: &str, mandatory: bool) -> Result<()> {
    let confirm = async {
        channel
            .basic_publish(
                exchange.into(),
                "".into(),
                BasicPublishOptions { mandatory, ..Default::default() },
                text.as_bytes(),
                BasicProperties::default().with_delivery_mode(2), // persistent
            )
            .await?
            .await
    };
    let confirmation =
        timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
    match confirmation {
        Confirmation::Ack(None) => println!("  {text}: confirmed"),
        Confirmation::Ack(Some(returned)) => println!(
            "  {text}: returned, {} {}, and confirmed",
            returned.reply_code, returned.reply_text
        ),
        Confirmation::Nack(_) => println!("  {text}: refused"),
        Confirmation::NotRequested => bail!("the channel does not confirm"),
    }
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

/// Deletes the exchange and the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    Ok(())
}
