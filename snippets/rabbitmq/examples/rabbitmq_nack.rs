//! A full queue that refuses: the publisher is told by a nack instead of a confirm.
//!
//! Guarantee: a nack says that the broker does not vouch for the message. One queue that refuses is
//! enough, and other queues have their copy: what is sent again can be there twice.
//!
//! Run: `cargo run --example rabbitmq_nack`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUES: [&str; 3] = ["rabbitmq-nack.refuses", "rabbitmq-nack.drops", "rabbitmq-nack.archive"];
const EXCHANGE: &str = "rabbitmq-nack.orders";
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
    let [refuses, drops, archive] = QUEUES;
    for (queue, overflow) in [(refuses, "reject-publish"), (drops, "drop-head")] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(ROOM));
        arguments.insert("x-overflow".into(), AMQPValue::LongString(overflow.into()));
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        println!("{queue}: room for {ROOM}, overflow {overflow}");
        for order in ["order 1", "order 2", "order 3"] {
            println!("  {order}: {}", publish(&channel, "", queue, order).await?);
        }
        println!("  in the queue: {:?}", take_all(&channel, queue).await?);
    }
    println!("{EXCHANGE}: bound to a queue that refuses and to one without a limit");
    bind(&channel, [refuses, archive]).await?;
    for order in ["order 4", "order 5", "order 6"] {
        println!("  {order}: {}", publish(&channel, EXCHANGE, "", order).await?);
    }
    println!("  order 6, again: {}", publish(&channel, EXCHANGE, "", "order 6").await?);
    println!("  in {archive}: {:?}", take_all(&channel, archive).await?);
    // ANCHOR_END: overflow
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn bind(channel: &Channel, queues: [&str; 2]) -> Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
    channel.queue_declare(queues[1].into(), QueueDeclareOptions::durable(), none()).await?;
    for queue in queues {
        let options = QueueBindOptions::default();
        channel.queue_bind(queue.into(), EXCHANGE.into(), "".into(), options, none()).await?;
    }
    Ok(())
}

async fn publish(channel: &Channel, to: &str, key: &str, order: &str) -> Result<&'static str> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let data = order.as_bytes();
    let confirm =
        async { channel.basic_publish(to.into(), key.into(), options, data, lasting).await?.await };
    match timeout(Duration::from_secs(10), confirm).await.context("no confirm within 10 s")?? {
        Confirmation::Ack(None) => Ok("confirmed"),
        Confirmation::Ack(Some(_)) => bail!("no queue wants {order}"),
        Confirmation::Nack(_) => Ok("refused"),
        Confirmation::NotRequested => bail!("the channel does not confirm"),
    }
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

/// Deletes the exchange and the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    Ok(())
}
