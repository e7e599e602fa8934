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
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
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
    reject(&connection).await?;
    consume(&channel).await?;
    clean_up(&channel).await?;
    Ok(connection.close(200, "done".into()).await?)
}

// ANCHOR: steps
async fn setup(channel: &Channel) -> Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
    let mut orders = none();
    orders.insert("x-queue-type".into(), LongString("quorum".into()));
    orders.insert("x-dead-letter-exchange".into(), LongString(EXCHANGE.into()));
    orders.insert("x-delivery-limit".into(), AMQPValue::LongInt(2));
    let mut offers = none();
    offers.insert("x-dead-letter-exchange".into(), LongString(EXCHANGE.into()));
    offers.insert("x-max-length".into(), AMQPValue::LongInt(1)); // the oldest gives way
    for (queue, arguments) in [(ORDERS, orders), (OFFERS, offers), (DEAD, none())] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
    }
    let options = Default::default();
    Ok(channel.queue_bind(DEAD.into(), EXCHANGE.into(), "".into(), options, none()).await?)
}

async fn publish(channel: &Channel) -> Result<()> {
    println!("publish and reject");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let fleeting = lasting.clone().with_expiration("100".into()); // ms
    for (queue, message, properties) in [
        (ORDERS, "order 1, refused", &lasting),
        (ORDERS, "order 2, breaks its worker", &lasting),
        (ORDERS, "order 3, good for 100 ms", &fleeting),
        (OFFERS, "offer 1", &lasting),
        (OFFERS, "offer 2", &lasting),
    ] {
        let (data, set) = (message.as_bytes(), properties.clone());
        let options = BasicPublishOptions { mandatory: true, ..Default::default() };
        let confirm = async {
            channel.basic_publish("".into(), queue.into(), options, data, set).await?.await
        };
        let answer = timeout(Duration::from_secs(10), confirm).await.context("no confirm")?;
        ensure!(answer? == Confirmation::Ack(None), "RabbitMQ refused or returned {message:?}");
        println!("  {message}");
    }
    Ok(())
}

async fn reject(connection: &Connection) -> Result<()> {
    let worker = connection.create_channel().await?;
    let mut orders = consumer(&worker, ORDERS).await?;
    for requeue in [false, true, true] {
        let order = next(&mut orders).await?;
        println!("  {}: requeue {requeue}", String::from_utf8_lossy(&order.data));
        ensure!(order.reject(BasicRejectOptions { requeue }).await?, "not rejected");
    }
    next(&mut orders).await?; // takes its worker along, which fails it a third time
    Ok(worker.close(200, "dies".into()).await?)
}

async fn consume(channel: &Channel) -> Result<()> {
    println!("consume {DEAD}");
    let mut dead = consumer(channel, DEAD).await?;
    let mut seen = BTreeMap::new(); // they come in the order in which they died
    for _ in 0..4 {
        let letter = next(&mut dead).await?;
        seen.insert(String::from_utf8_lossy(&letter.data).into_owned(), death(&letter)?);
        ensure!(letter.ack(BasicAckOptions::default()).await?, "not acknowledged");
    }
    for (message, death) in seen {
        println!("  {message}\n    {death}");
    }
    Ok(())
}

fn death(letter: &Delivery) -> Result<String> {
    let headers = letter.properties.headers().as_ref().context("no headers")?;
    let deaths = headers.inner().get("x-death").and_then(AMQPValue::as_array);
    let death = deaths.and_then(|all| all.as_slice().first()?.as_field_table());
    let death = death.context("no x-death")?.inner();
    let field = |name: &str| match death.get(name) {
        Some(LongString(text)) => text.to_string(),
        Some(AMQPValue::LongLongInt(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let shown = ["reason", "count", "queue"].map(|name| format!("{name} {}", field(name)));
    let names: Vec<&str> = death.keys().map(|name| name.as_str()).collect();
    Ok(format!("{}; fields: {}", shown.join(", "), names.join(" ")))
}
// ANCHOR_END: steps

async fn consumer(channel: &Channel, queue: &str) -> Result<Consumer> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?)
}

async fn next(messages: &mut Consumer) -> Result<Delivery> {
    let next = timeout(Duration::from_secs(10), messages.next()).await;
    Ok(next.context("no message within 10 s")?.context("the consumer was cancelled")??)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [ORDERS, OFFERS, DEAD] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(channel.exchange_delete(EXCHANGE.into(), Default::default()).await?)
}
