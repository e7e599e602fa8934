//! The default exchange: every queue is bound to it by its own name, without being asked.
//!
//! Guarantee: a message whose routing key is the name of a queue is in that queue. Holds for every
//! queue of the virtual host; the bindings can be neither made nor removed.
//!
//! Run: `cargo run --example rabbitmq_default_exchange`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUES: [&str; 2] =
    ["rabbitmq-default-exchange.invoices", "rabbitmq-default-exchange.receipts"];
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

    // A refusal closes the channel, so this one is made for it.
    let other = connection.create_channel().await?;
    let (queue, options) = (QUEUES[0], QueueBindOptions::default());
    let bound =
        other.queue_bind(queue.into(), "".into(), "k".into(), options, FieldTable::default());
    match bound.await {
        Err(error) => println!("bind to it: {error}"),
        Ok(()) => bail!("a queue was bound to the default exchange"),
    }
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: steps
async fn setup(channel: &Channel) -> Result<()> {
    println!("setup");
    for queue in QUEUES {
        let options = QueueDeclareOptions::durable();
        channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        println!("  {queue} is declared, and that is all");
    }
    Ok(())
}

async fn publish(channel: &Channel) -> Result<()> {
    println!("publish to the exchange without a name");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    publish_to(channel, "", QUEUES[0], "invoice 1").await?;
    publish_to(channel, "", QUEUES[1], "receipt 1").await
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

/// Deletes the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
