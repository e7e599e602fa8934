//! A stream reader that wants some values only: the broker leaves out whole chunks, the reader the
//! rest.
//!
//! Guarantee: no message with a wanted value is left out. Others can come along, because the broker
//! filters chunk by chunk: so the reader checks each message again.
//!
//! Run: `cargo run --example rabbitmq_stream_filter`

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

const STREAM: &str = "rabbitmq-stream-filter.orders";
const ORDERS: [(&str, &str); 6] = [
    ("eu", "order 1"),
    ("us", "order 2"),
    ("us", "order 3"),
    ("eu", "order 4"),
    ("us", "order 5"),
    ("eu", "order 6"),
];
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
    channel.queue_declare(STREAM.into(), QueueDeclareOptions::durable(), arguments).await?;
    for (region, order) in ORDERS {
        publish(&channel, region, order).await?;
    }
    println!("{} orders in {STREAM}", ORDERS.len());

    // ANCHOR: filter
    channel.basic_qos(100, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    arguments.insert("x-stream-filter".into(), AMQPValue::LongString("eu".into()));
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut reader = channel.basic_consume(STREAM.into(), tag, options, arguments).await?;
    let mut wanted = Vec::new();
    while wanted.len() < 3 {
        let order = timeout(LIMIT, reader.next()).await.context("no order within 10 s")?;
        let order = order.context("the consumer was cancelled")??;
        ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged");
        let headers = order.properties.headers().as_ref().context("no headers")?;
        let region = headers.inner().get("x-stream-filter-value");
        if region == Some(&AMQPValue::LongString("eu".into())) {
            wanted.push(String::from_utf8_lossy(&order.data).into_owned());
        }
    }
    // ANCHOR_END: filter
    println!("the reader of eu has {wanted:?}");
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn publish(channel: &Channel, region: &str, order: &str) -> Result<()> {
    let mut headers = FieldTable::default();
    headers.insert("x-stream-filter-value".into(), AMQPValue::LongString(region.into()));
    let properties = BasicProperties::default().with_headers(headers);
    let (options, data) = (MANDATORY, order.as_bytes());
    let confirm = async {
        channel.basic_publish("".into(), STREAM.into(), options, data, properties).await?.await
    };
    ensure!(
        timeout(LIMIT, confirm).await.context("no confirm")?? == Confirmation::Ack(None),
        "refused or returned {order:?}"
    );
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(STREAM.into(), Default::default()).await?;
    Ok(())
}
