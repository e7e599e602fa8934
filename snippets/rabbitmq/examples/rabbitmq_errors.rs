//! The errors that close a channel, word for word, and what a program can tell them apart by.
//!
//! Guarantee: each of these soft errors closes its channel only; another one of the connection
//! stays open. A closed channel does not come back, and nothing can be acknowledged on it.
//!
//! Run: `cargo run --example rabbitmq_errors`

use std::{env, fmt::Display, time::Duration};

use anyhow::{Context, Error, Result};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ErrorKind, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-errors.orders";
const STREAM: &str = "rabbitmq-errors.history";
const SLOW: &str = "rabbitmq-errors.slow"; // not made: it is refused
const LIMIT: Duration = Duration::from_secs(10);

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
    let (durable, none) = (QueueDeclareOptions::durable, FieldTable::default);
    let kind = |kind: &str| table("x-queue-type", AMQPValue::LongString(kind.into()));
    channel.queue_declare(QUEUE.into(), durable(), none()).await?;
    channel.queue_declare(STREAM.into(), durable(), kind("stream")).await?;
    let open = || connection.create_channel();

    // ANCHOR: soft
    let c = open().await?;
    let declared = c.queue_declare(QUEUE.into(), durable(), kind("quorum")).await;
    report("declare it again as a quorum queue", declared);

    let c = open().await?;
    let limit = table("x-consumer-timeout", AMQPValue::LongInt(60_000));
    let declared = c.queue_declare(SLOW.into(), durable(), limit).await;
    report("declare a classic queue with a consumer timeout", declared);

    let c = open().await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let consumed = c.basic_consume("rabbitmq-errors.gone".into(), tag, options, none()).await;
    if let Err(error) = &consumed {
        println!("not found, by its kind: {}", is_not_found(error));
    }
    report("consume from a queue that does not exist", consumed);

    let c = open().await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let consumed = c.basic_consume(STREAM.into(), tag, options, none()).await;
    report("consume from a stream without a prefetch", consumed);

    let c = open().await?;
    let (kind, options) = (ExchangeKind::Direct, ExchangeDeclareOptions::default());
    let declared = c.exchange_declare("amq.mine".into(), kind, options, none()).await;
    report("declare an exchange named amq.*", declared);

    let c = open().await?;
    let (key, options) = ("a.#.b.#.c.#".into(), QueueBindOptions::default());
    let bound = c.queue_bind(QUEUE.into(), "amq.topic".into(), key, options, none()).await;
    report("bind with three #", bound);

    let c = open().await?;
    publish(&c, b"an order").await?;
    publish(&c, b"another order").await?;
    c.basic_qos(2, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders = c.basic_consume(QUEUE.into(), tag, options, none()).await?;
    let order = timeout(LIMIT, orders.next()).await.context("no order")?.context("cancelled")??;
    let other = timeout(LIMIT, orders.next()).await.context("no order")?.context("cancelled")??;
    c.basic_ack(order.delivery_tag, BasicAckOptions::default()).await?;
    c.basic_ack(order.delivery_tag, BasicAckOptions::default()).await?;
    let next = timeout(LIMIT, orders.next()).await.context("no error")?.context("cancelled")?;
    report("acknowledge twice", next);
    // Sent nothing, and says so: the order that this channel held is in the queue again.
    println!("acknowledge on the closed channel: {:?}", other.ack(Default::default()).await);
    // ANCHOR_END: soft

    let c = open().await?;
    report("a message of 17 MiB", publish(&c, &vec![0; 17 << 20]).await);

    println!("the first channel is open: {}", channel.status().connected());
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: kind
/// Told by what lapin decoded, not by the words of the broker, which change.
fn is_not_found(error: &lapin::Error) -> bool {
    matches!(error.kind(), ErrorKind::ProtocolError(error)
        if matches!(error.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)))
}
// ANCHOR_END: kind

fn report<T, E: Display>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{what}: accepted"),
        Err(error) => println!("{what}:\n  {error}"),
    }
}

fn table(name: &str, value: AMQPValue) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert(name.into(), value);
    table
}

async fn publish(channel: &Channel, data: &[u8]) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, data, properties).await?.await
    };
    timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [QUEUE, STREAM, SLOW] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
