//! A fanout exchange puts a copy of every message into every queue bound to it.
//!
//! Guarantee: a confirmed message is in every queue that was bound when it was published, and stays
//! there over a restart of the broker, because queues are durable and messages persistent. A queue
//! that is bound later gets nothing old.
//!
//! Run: `cargo run --example rabbitmq_fanout`

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

const EXCHANGE: &str = "rabbitmq-fanout.logs";
const QUEUES: [&str; 3] =
    ["rabbitmq-fanout.alerting", "rabbitmq-fanout.archive", "rabbitmq-fanout.dashboard"];
const LOG_LINES: [(&str, &str); 2] =
    [("info", "order 17 placed"), ("error", "card of order 17 declined")];
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
/// Declares the exchange and binds each queue to it.
async fn setup(channel: &Channel) -> Result<()> {
    println!("setup");
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
    for queue in QUEUES {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?;
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), EXCHANGE.into(), "".into(), options, none()).await?;
        println!("  {queue} is bound to {EXCHANGE}");
    }
    Ok(())
}

/// Publishes each log line once and waits until the broker has confirmed it.
async fn publish(channel: &Channel) -> Result<()> {
    println!("publish, each line confirmed");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for (level, line) in LOG_LINES {
        let confirm = async {
            channel
                .basic_publish(
                    EXCHANGE.into(),
                    level.into(), // the routing key, which a fanout exchange ignores
                    MANDATORY,
                    line.as_bytes(),
                    BasicProperties::default().with_delivery_mode(2), // persistent
                )
                .await?
                .await
        }; // written to the socket
        // A broker short of memory or disk confirms nothing for as long as that lasts.
        let confirmation =
            timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??; // answered by the broker
        ensure!(confirmation == Confirmation::Ack(None), "RabbitMQ refused or returned {line:?}");
        println!("  {level}: {line}");
    }
    Ok(())
}

/// Takes both lines from each queue, acknowledging every message after it was handled.
async fn consume(channel: &Channel) -> Result<()> {
    println!("consume");
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    for queue in QUEUES {
        let (tag, defaults) = (queue.into(), BasicConsumeOptions::default());
        let consumer =
            channel.basic_consume(queue.into(), tag, defaults, FieldTable::default()).await?;
        let mut copies = consumer.take(LOG_LINES.len());
        while let Some(delivery) = timeout(Duration::from_secs(10), copies.next())
            .await
            .with_context(|| format!("no message in {queue} within 10 s"))?
        {
            let delivery = delivery?;
            let line = String::from_utf8_lossy(&delivery.data);
            println!("  {queue} got: {line}");
            ensure!(delivery.ack(BasicAckOptions::default()).await?, "not acknowledged");
        }
    }
    Ok(())
}
// ANCHOR_END: steps

/// Deletes the exchange and the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    Ok(())
}
