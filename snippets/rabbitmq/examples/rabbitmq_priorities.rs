//! Priorities: on a quorum queue always there and strict, on a classic queue only where asked for.
//!
//! Guarantee: of the messages that wait, the one with the highest priority is delivered first, and
//! equal ones in order. Holds for what is in the queue, not for what a consumer has prefetched.
//!
//! Run: `cargo run --example rabbitmq_priorities`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUES: [&str; 3] = [
    "rabbitmq-priorities.quorum",
    "rabbitmq-priorities.classic",
    "rabbitmq-priorities.classic-max-5",
];
const ORDERS: [(&str, Option<u8>); 4] =
    [("low", Some(1)), ("none", None), ("high", Some(5)), ("highest", Some(9))];
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
    // ANCHOR: priorities
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let mut classic_max_5 = FieldTable::default();
    classic_max_5.insert("x-max-priority".into(), AMQPValue::LongInt(5));
    let arguments = [quorum, FieldTable::default(), classic_max_5];

    println!("published: {:?}", ORDERS.map(|(name, _)| name));
    for (queue, arguments) in QUEUES.into_iter().zip(arguments) {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        for (name, priority) in ORDERS {
            publish(&channel, queue, name, priority).await?;
        }
        println!("{queue}: {:?}", take_all(&channel, queue).await?);
    }
    // ANCHOR_END: priorities
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn publish(channel: &Channel, queue: &str, name: &str, priority: Option<u8>) -> Result<()> {
    let mut properties = BasicProperties::default().with_delivery_mode(2);
    if let Some(priority) = priority {
        properties = properties.with_priority(priority);
    }
    let (options, data) = (MANDATORY, name.as_bytes());
    let confirm = async {
        channel.basic_publish("".into(), queue.into(), options, data, properties).await?.await
    };
    let confirmed = timeout(Duration::from_secs(10), confirm).await.context("no confirm")??;
    ensure!(confirmed == Confirmation::Ack(None), "RabbitMQ refused or returned {name:?}");
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
