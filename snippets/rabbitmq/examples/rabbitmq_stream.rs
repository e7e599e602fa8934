//! A stream keeps what was read: replay from the beginning, an offset, a moment, by several readers.
//!
//! Guarantee: reading removes nothing; each reader has every message from where it starts, in order.
//! Holds as long as the retention keeps them: without a limit, for ever.
//!
//! Run: `cargo run --example rabbitmq_stream`

use std::{
    env,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions,
        BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const STREAM: &str = "rabbitmq-stream.orders";
const LIMIT: Duration = Duration::from_secs(10);
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
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    arguments.insert("x-max-age".into(), AMQPValue::LongString("7D".into())); // else for ever
    channel.queue_declare(STREAM.into(), QueueDeclareOptions::durable(), arguments).await?;
    for number in 1..=3 {
        publish(&channel, &format!("order {number}")).await?;
    }
    // A moment is one chunk of messages precise, and a new one begins a new second here.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let noon = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for number in 4..=6 {
        publish(&channel, &format!("order {number}")).await?;
    }
    println!("six orders in {STREAM}");

    // ANCHOR: offsets
    for (from, offset, count) in [
        ("first", AMQPValue::LongString("first".into()), 6),
        ("first, again", AMQPValue::LongString("first".into()), 6),
        ("offset 4", AMQPValue::LongLongInt(4), 2),
        ("the moment after order 3", AMQPValue::Timestamp(noon), 3),
    ] {
        println!("from {from}: {:?}", read(&connection, offset, count).await?);
    }
    // ANCHOR_END: offsets
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Reads `count` messages from an offset on, as a reader of its own.
async fn read(connection: &Connection, offset: AMQPValue, count: usize) -> Result<Vec<String>> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(100, BasicQosOptions::default()).await?; // a stream wants a limit
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), offset);
    let (tag, options) = ("reader".into(), BasicConsumeOptions::default());
    let mut reader = channel.basic_consume(STREAM.into(), tag, options, arguments).await?;
    let mut orders = Vec::new();
    while orders.len() < count {
        let order = timeout(LIMIT, reader.next()).await.context("no order within 10 s")?;
        let order = order.context("the consumer was cancelled")??;
        let headers = order.properties.headers().as_ref().context("no headers")?;
        let Some(AMQPValue::LongLongInt(at)) = headers.inner().get("x-stream-offset") else {
            anyhow::bail!("a message without an offset");
        };
        orders.push(format!("{at}: {}", String::from_utf8_lossy(&order.data)));
        ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged"); // makes room, and removes nothing
    }
    channel.basic_cancel("reader".into(), BasicCancelOptions::default()).await?;
    channel.close(200, "done".into()).await?;
    Ok(orders)
}

async fn publish(channel: &Channel, order: &str) -> Result<()> {
    let (options, data) = (MANDATORY, order.as_bytes());
    let properties = BasicProperties::default();
    let confirm = async {
        channel.basic_publish("".into(), STREAM.into(), options, data, properties).await?.await
    };
    let confirmed = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    ensure!(confirmed == Confirmation::Ack(None), "RabbitMQ refused or returned {order:?}");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(STREAM.into(), Default::default()).await?;
    Ok(())
}
