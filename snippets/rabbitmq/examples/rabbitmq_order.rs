//! The same job as in the other systems: three services get each order, one retries, one sets aside an
//! order that never works, and a fourth joins late and wants the history.
//!
//! Guarantee: at least once for each service and for what is set aside. What is given back comes first
//! again, to whichever reader asks. The history is a stream, bound from the beginning, of 30 days.
//!
//! Run: `cargo run --example rabbitmq_order`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    message::Delivery,
    options::{
        BasicAckOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const ORDERS: &str = "rabbitmq-order.orders";
const DEAD: &str = "rabbitmq-order.dead";
const HISTORY: &str = "rabbitmq-order.history";
const SERVICES: [&str; 3] = ["inventory", "billing", "shipping"];
const ATTEMPTS: u32 = 3;
const LIMIT: Duration = Duration::from_secs(30);

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
    // ANCHOR: job
    set_up(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for order in ["order 17", "order 18", "order 19"] {
        publish(&channel, order).await?;
    }
    println!("placed: order 17, order 18, order 19");
    for service in SERVICES {
        println!("{service}: {}", serve(&connection, service, 3).await?.join(", "));
    }
    println!("set aside: {}", serve(&connection, "dead", 1).await?.join(", "));
    publish(&channel, "order 20").await?;
    let history = serve(&connection, "history", 4).await?;
    println!("fraud check, joining before order 20: {}", history.join(", "));
    // ANCHOR_END: job
    clean_up(&channel).await?;
    Ok(connection.close(200, "done".into()).await?)
}

// ANCHOR: parts
async fn set_up(channel: &Channel) -> Result<()> {
    let text = |value: &str| AMQPValue::LongString(value.into());
    let (none, kind) = (FieldTable::default, ExchangeKind::Fanout);
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    channel.exchange_declare(ORDERS.into(), kind, durable, none()).await?;
    let mut quorum = none();
    quorum.insert("x-queue-type".into(), text("quorum"));
    channel.queue_declare(DEAD.into(), QueueDeclareOptions::durable(), quorum.clone()).await?;
    for service in SERVICES {
        let mut arguments = quorum.clone();
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongUInt(ATTEMPTS - 1));
        arguments.insert("x-dead-letter-exchange".into(), text("")); // by the name of the queue
        arguments.insert("x-dead-letter-routing-key".into(), text(DEAD));
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
        arguments.insert("x-overflow".into(), text("reject-publish")); // as that strategy wants
        bind(channel, &format!("rabbitmq-order.{service}"), arguments).await?;
    }
    let mut stream = none();
    stream.insert("x-queue-type".into(), text("stream")); // for whoever joins late
    stream.insert("x-max-age".into(), text("30D")); // else it grows until the disk is full
    bind(channel, HISTORY, stream).await
}

/// Handles so many orders of a queue, each until it is done or given up; returns what was done.
async fn serve(connection: &Connection, service: &str, orders: usize) -> Result<Vec<String>> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut from = FieldTable::default();
    from.insert("x-stream-offset".into(), AMQPValue::LongString("first".into())); // streams only
    let from = if service == "history" { from } else { FieldTable::default() };
    let queue = format!("rabbitmq-order.{service}").into();
    let mut consumer = channel.basic_consume(queue, "".into(), Default::default(), from).await?;
    let (mut done, mut given_up) = (Vec::new(), 0);
    while done.len() + given_up < orders {
        let message = timeout(LIMIT, consumer.next()).await.context("no order within 30 s")?;
        let message = message.context("the consumer was cancelled")??;
        let (order, attempt) = (String::from_utf8_lossy(&message.data), attempt(&message));
        if let Err(why) = handle(service, &order, attempt) {
            println!("{service}: {order}, attempt {attempt}: {why}");
            given_up += usize::from(attempt == ATTEMPTS);
            ensure!(message.reject(BasicRejectOptions { requeue: true }).await?, "not given back");
            continue;
        }
        ensure!(message.ack(BasicAckOptions::default()).await?, "{order} was not acknowledged");
        done.push(order.into_owned());
    }
    channel.close(200, "done".into()).await?;
    Ok(done)
}
// ANCHOR_END: parts

fn attempt(message: &Delivery) -> u32 {
    let set = message.properties.headers().as_ref();
    let failed = set.and_then(|set| set.inner().get("x-delivery-count")?.as_long_long_int());
    1 + u32::try_from(failed.unwrap_or(0)).unwrap_or(0)
}

/// What a service does with an order: it fails as it would on a bad day. `attempt` counts from 1.
fn handle(service: &str, order: &str, attempt: u32) -> Result<(), &'static str> {
    match (service, order) {
        ("billing", "order 18") if attempt < 3 => Err("the card service is busy"),
        ("shipping", "order 19") => Err("there is no address"),
        _ => Ok(()),
    }
}

async fn publish(channel: &Channel, order: &str) -> Result<()> {
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let set = BasicPublishOptions { mandatory: true, ..Default::default() }; // back, if no queue
    let data = order.as_bytes();
    let confirm =
        async { channel.basic_publish(ORDERS.into(), "".into(), set, data, lasting).await?.await };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 30 s")??;
    ensure!(answer == Confirmation::Ack(None), "{order} was refused, or no queue takes it");
    Ok(())
}

async fn bind(channel: &Channel, queue: &str, arguments: FieldTable) -> Result<()> {
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
    let (options, none) = (Default::default(), FieldTable::default());
    Ok(channel.queue_bind(queue.into(), ORDERS.into(), "".into(), options, none).await?)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in SERVICES.into_iter().chain(["dead", "history"]) {
        channel.queue_delete(format!("rabbitmq-order.{queue}").into(), Default::default()).await?;
    }
    Ok(channel.exchange_delete(ORDERS.into(), Default::default()).await?)
}
