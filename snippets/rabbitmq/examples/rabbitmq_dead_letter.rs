//! Four ways to become a dead letter: rejected, expired, over length, delivered too often.
//!
//! Guarantee: a dead letter is in the dead-letter queue with the reason in its `x-death` header. At
//! most once by default: the broker does not wait until the dead-letter queue has it.
//!
//! Run: `cargo run --example rabbitmq_dead_letter`

use std::{collections::BTreeMap, env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions,
        BasicRejectOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, AMQPValue::LongString, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const EXCHANGE: &str = "rabbitmq-dead-letter.failed";
const DEAD: &str = "rabbitmq-dead-letter.dead";
const ORDERS: &str = "rabbitmq-dead-letter.orders";
const OFFERS: &str = "rabbitmq-dead-letter.offers";

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
    reject(&channel).await?;
    consume(&channel).await?;
    clean_up(&channel).await?;
    Ok(connection.close(200, "done".into()).await?)
}

// ANCHOR: steps
async fn setup(channel: &Channel) -> Result<()> {
    println!("setup");
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
    let mut orders = none();
    orders.insert("x-queue-type".into(), LongString("quorum".into()));
    orders.insert("x-dead-letter-exchange".into(), LongString(EXCHANGE.into()));
    orders.insert("x-delivery-limit".into(), AMQPValue::LongInt(2));
    let mut offers = none();
    offers.insert("x-dead-letter-exchange".into(), LongString(EXCHANGE.into()));
    offers.insert("x-max-length".into(), AMQPValue::LongInt(2)); // the oldest gives way
    for (queue, arguments) in [(ORDERS, orders), (OFFERS, offers), (DEAD, none())] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        println!("  {queue}");
    }
    let options = Default::default();
    Ok(channel.queue_bind(DEAD.into(), EXCHANGE.into(), "".into(), options, none()).await?)
}

async fn publish(channel: &Channel) -> Result<()> {
    println!("publish");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let fleeting = lasting.clone().with_expiration("100".into()); // ms
    for (queue, message, properties) in [
        (ORDERS, "order 1, refused", &lasting),
        (ORDERS, "order 2, breaks its worker", &lasting),
        (ORDERS, "order 3, good for 100 ms", &fleeting),
        (OFFERS, "offer 1", &lasting),
        (OFFERS, "offer 2", &lasting),
        (OFFERS, "offer 3", &lasting),
    ] {
        let (data, set) = (message.as_bytes(), properties.clone());
        let options = BasicPublishOptions::default();
        let confirm = async {
            channel.basic_publish("".into(), queue.into(), options, data, set).await?.await
        };
        let answer = timeout(Duration::from_secs(10), confirm).await.context("no confirm")?;
        ensure!(answer?.is_ack(), "RabbitMQ refused {message:?}");
        println!("  {message}");
    }
    Ok(())
}

async fn reject(channel: &Channel) -> Result<()> {
    println!("reject");
    next(channel).await?.reject(BasicRejectOptions { requeue: false }).await?;
    for _ in 0..3 {
        let again = next(channel).await?;
        println!("  {}: given back", String::from_utf8_lossy(&again.data));
        again.reject(BasicRejectOptions { requeue: true }).await?;
    }
    Ok(())
}

async fn next(channel: &Channel) -> Result<Delivery> {
    for _ in 0..200 {
        match channel.basic_get(ORDERS.into(), BasicGetOptions::default()).await? {
            Some(got) => return Ok(got.delivery),
            None => tokio::time::sleep(Duration::from_millis(25)).await, // away for a moment
        }
    }
    anyhow::bail!("no order within 5 s")
}

async fn consume(channel: &Channel) -> Result<()> {
    println!("consume {DEAD}");
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut dead = channel.basic_consume(DEAD.into(), tag, options, FieldTable::default()).await?;
    let mut seen = BTreeMap::new(); // they come in the order in which they died
    for _ in 0..4 {
        let letter = timeout(Duration::from_secs(10), dead.next()).await.context("no letter")?;
        let letter = letter.context("the consumer was cancelled")??;
        seen.insert(String::from_utf8_lossy(&letter.data).into_owned(), death(&letter)?);
        letter.ack(BasicAckOptions::default()).await?;
    }
    for (message, death) in seen {
        println!("  {message}\n    {death}");
    }
    Ok(())
}

fn death(letter: &Delivery) -> Result<String> {
    let headers = letter.properties.headers().as_ref().context("no headers")?;
    let deaths = headers.inner().get("x-death").and_then(AMQPValue::as_array);
    let death =
        deaths.and_then(|all| all.as_slice().first()?.as_field_table()).context("no x-death")?;
    let field = |name: &str| match death.inner().get(name) {
        Some(LongString(text)) => text.to_string(),
        Some(AMQPValue::LongLongInt(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    Ok(["reason", "count", "queue"].map(|name| format!("{name} {}", field(name))).join(", "))
}
// ANCHOR_END: steps

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [ORDERS, OFFERS, DEAD] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(channel.exchange_delete(EXCHANGE.into(), Default::default()).await?)
}
