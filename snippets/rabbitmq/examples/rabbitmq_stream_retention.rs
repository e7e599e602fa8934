//! A stream that may grow to a size: the oldest segments go, whether they were read or not.
//!
//! Guarantee: none for what is over the limit. The broker deletes whole segments, when a new one is
//! begun; so a stream is often larger than its limit, and never loses its last segment.
//!
//! Run: `cargo run --example rabbitmq_stream_retention`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
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
use tokio::time::{Instant, sleep, timeout};

const STREAM: &str = "rabbitmq-stream-retention.readings";
const LIMIT: Duration = Duration::from_secs(30);
const READINGS: usize = 200;
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
    // ANCHOR: retention
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(1_000_000));
    arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(500_000));
    channel.queue_declare(STREAM.into(), QueueDeclareOptions::durable(), arguments).await?;
    println!("{STREAM}: 1 MB at most, in segments of 0.5 MB");
    for _ in 0..READINGS {
        publish(&channel).await?;
    }
    println!("{READINGS} readings of 20 kB each: 4 MB");
    // ANCHOR_END: retention

    let deadline = Instant::now() + LIMIT;
    let first = loop {
        let first = first_offset(&connection).await?;
        if first > 0 {
            break first;
        }
        ensure!(Instant::now() < deadline, "nothing was deleted within 30 s");
        sleep(Duration::from_millis(100)).await; // segments are deleted in the background
    };
    println!("the first reading is gone: {}", first > 0);
    println!("the last one is there: {}", usize::try_from(first)? < READINGS);
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Where a reader begins that asks for the first message.
async fn first_offset(connection: &Connection) -> Result<i64> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut reader = channel.basic_consume(STREAM.into(), tag, options, arguments).await?;
    let reading = timeout(LIMIT, reader.next()).await.context("no reading within 30 s")?;
    let reading = reading.context("the consumer was cancelled")??;
    let headers = reading.properties.headers().as_ref().context("no headers")?;
    let Some(AMQPValue::LongLongInt(at)) = headers.inner().get("x-stream-offset") else {
        bail!("a message without an offset");
    };
    ensure!(reading.ack(BasicAckOptions::default()).await?, "not acknowledged");
    channel.close(200, "done".into()).await?;
    Ok(*at)
}

async fn publish(channel: &Channel) -> Result<()> {
    let (options, properties) = (MANDATORY, BasicProperties::default());
    let data = [b'x'; 20_000];
    let confirm = async {
        channel.basic_publish("".into(), STREAM.into(), options, &data, properties).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 30 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned a reading");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(STREAM.into(), Default::default()).await?;
    Ok(())
}
