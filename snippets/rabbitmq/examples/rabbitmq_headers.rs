//! A headers exchange compares the headers of a message with the arguments of a binding.
//!
//! Guarantee: with `x-match` all every argument must be there and equal, with any at least one. The
//! routing key is ignored, and so are headers that begin with `x-`, unless a `-with-x` form is used.
//!
//! Run: `cargo run --example rabbitmq_headers`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const EXCHANGE: &str = "rabbitmq-headers.documents";
const QUEUES: [&str; 3] =
    ["rabbitmq-headers.all", "rabbitmq-headers.any", "rabbitmq-headers.any-with-x"];
const MESSAGES: [[(&str, &str); 2]; 4] = [
    [("format", "pdf"), ("type", "report")],
    [("format", "pdf"), ("type", "invoice")],
    [("format", "zip"), ("type", "invoice")],
    [("format", "zip"), ("x-tenant", "acme")],
];

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
/// Declares the exchange and the queues, and binds each with its own way to match.
async fn setup(channel: &Channel) -> Result<()> {
    println!("setup");
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Headers, durable, none()).await?;
    let pdf_report = [("format", "pdf"), ("type", "report")];
    let tenant = [("x-tenant", "acme"), ("type", "report")];
    let arguments = [("all", pdf_report), ("any", pdf_report), ("any-with-x", tenant)];
    for (queue, (x_match, wanted)) in QUEUES.into_iter().zip(arguments) {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?;
        let mut arguments = table(&wanted);
        arguments.insert("x-match".into(), text(x_match));
        let (exchange, options) = (EXCHANGE.into(), QueueBindOptions::default());
        channel.queue_bind(queue.into(), exchange, "".into(), options, arguments).await?;
        println!("  {queue}: x-match {x_match} of {wanted:?}");
    }
    Ok(())
}

/// Publishes each message with its headers and waits until the broker has confirmed it.
async fn publish(channel: &Channel) -> Result<()> {
    println!("publish");
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for headers in MESSAGES {
        let name = headers.map(|(_, value)| value).join(" ");
        let properties = BasicProperties::default()
            .with_delivery_mode(2) // persistent
            .with_headers(table(&headers));
        let options = BasicPublishOptions::default();
        let confirm = async {
            channel
                .basic_publish(EXCHANGE.into(), "".into(), options, name.as_bytes(), properties)
                .await?
                .await
        };
        // A broker short of memory or disk confirms nothing for as long as that lasts.
        let confirmation =
            timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")??;
        ensure!(confirmation.is_ack(), "RabbitMQ refused {name:?}");
        println!("  {headers:?}");
    }
    Ok(())
}

/// Shows what is in each queue.
async fn consume(channel: &Channel) -> Result<()> {
    println!("consume");
    for queue in QUEUES {
        println!("  {queue}: {:?}", take_all(channel, queue).await?);
    }
    Ok(())
}
// ANCHOR_END: steps

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

/// Deletes the exchange and the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    Ok(())
}

fn table(pairs: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in pairs {
        table.insert((*key).into(), text(value));
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
