//! A full queue that refuses: the publisher is told by a nack instead of a confirm.
//!
//! Guarantee: a message that was refused is not in the queue. Holds with `x-overflow` set to
//! reject-publish; without it the oldest message gives way, and the new one is confirmed.
//!
//! Run: `cargo run --example rabbitmq_nack`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUES: [&str; 2] = ["rabbitmq-nack.refuses", "rabbitmq-nack.drops"];
const ROOM: i32 = 2;

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
    // ANCHOR: overflow
    for (queue, overflow) in QUEUES.into_iter().zip(["reject-publish", "drop-head"]) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(ROOM));
        arguments.insert("x-overflow".into(), AMQPValue::LongString(overflow.into()));
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        println!("{queue}: room for {ROOM}, overflow {overflow}");
        for order in ["order 1", "order 2", "order 3"] {
            println!("  {order}: {}", publish(&channel, queue, order).await?);
        }
        println!("  in the queue: {:?}", take_all(&channel, queue).await?);
    }
    // ANCHOR_END: overflow
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn publish(channel: &Channel, queue: &str, order: &str) -> Result<&'static str> {
    let (options, lasting) = (BasicPublishOptions::default(), BasicProperties::default());
    let lasting = lasting.with_delivery_mode(2);
    let data = order.as_bytes();
    let confirm = async {
        channel.basic_publish("".into(), queue.into(), options, data, lasting).await?.await
    };
    match timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")?? {
        Confirmation::Ack(_) => Ok("confirmed"),
        Confirmation::Nack(_) => Ok("refused"),
        Confirmation::NotRequested => bail!("the channel does not confirm"),
    }
}

/// Takes what is in a queue, in order, and acknowledges it.
async fn take_all(channel: &Channel, queue: &str) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    let options = BasicGetOptions::default();
    while let Some(message) = channel.basic_get(queue.into(), options).await? {
        taken.push(String::from_utf8_lossy(&message.data).into_owned());
        message.ack(BasicAckOptions::default()).await?;
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
