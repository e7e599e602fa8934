//! Who gets a message: a single active consumer, the one with the higher priority, the only one.
//!
//! Guarantee: with a single active consumer a queue has one reader at a time, and the next takes over
//! when it goes. An exclusive queue belongs to its connection and goes with it.
//!
//! Run: `cargo run --example rabbitmq_consumers`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUES: [&str; 3] = [
    "rabbitmq-consumers.single-active",
    "rabbitmq-consumers.by-priority",
    "rabbitmq-consumers.mine",
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
    let connecting = Connection::connect_uri(uri.clone(), ConnectionProperties::default());
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
    let [single, by_priority, mine] = QUEUES;
    // ANCHOR: single
    let mut arguments = FieldTable::default();
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    channel.queue_declare(single.into(), QueueDeclareOptions::durable(), arguments).await?;
    let (first, second) = (connection.create_channel().await?, connection.create_channel().await?);
    let mut active = consumer(&first, single, None).await?;
    let mut waiting = consumer(&second, single, None).await?;
    publish(&channel, single).await?;
    println!("{single}: the first consumer gets {} of 4", take(&mut active, 4).await?);
    first.close(200, "goes".into()).await?;
    publish(&channel, single).await?;
    println!("  the first goes, the second gets {} of 4", take(&mut waiting, 4).await?);
    // ANCHOR_END: single

    let none = FieldTable::default;
    channel.queue_declare(by_priority.into(), QueueDeclareOptions::durable(), none()).await?;
    let (low, high) = (connection.create_channel().await?, connection.create_channel().await?);
    let _standby = consumer(&low, by_priority, Some(1)).await?;
    let mut preferred = consumer(&high, by_priority, Some(10)).await?;
    publish(&channel, by_priority).await?;
    let got = take(&mut preferred, 4).await?;
    println!("{by_priority}: the consumer with priority 10 gets {got} of 4");

    let exclusive = QueueDeclareOptions::exclusive();
    channel.queue_declare(mine.into(), exclusive, none()).await?;
    let other = Connection::connect_uri(uri, ConnectionProperties::default());
    let other = timeout(LIMIT, other).await.context("no connection within 10 s")??;
    let foreign = other.create_channel().await?;
    let passive = QueueDeclareOptions::default().passive();
    match foreign.queue_declare(mine.into(), passive, none()).await {
        Err(error) => println!("{mine}, from another connection:\n  {error}"),
        Ok(_) => bail!("an exclusive queue was seen by another connection"),
    }
    clean_up(&channel).await?;
    other.close(200, "done".into()).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

async fn consumer(channel: &Channel, queue: &str, priority: Option<i32>) -> Result<Consumer> {
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    if let Some(priority) = priority {
        arguments.insert("x-priority".into(), AMQPValue::LongInt(priority));
    }
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(queue.into(), tag, options, arguments).await?)
}

async fn take(consumer: &mut Consumer, count: usize) -> Result<usize> {
    for _ in 0..count {
        let next = timeout(LIMIT, consumer.next()).await.context("no message within 10 s")?;
        let message = next.context("the consumer was cancelled")??;
        ensure!(message.ack(BasicAckOptions::default()).await?, "not acknowledged");
    }
    Ok(count)
}

/// Puts four orders into a queue.
async fn publish(channel: &Channel, queue: &str) -> Result<()> {
    for _ in 0..4 {
        let options = MANDATORY;
        let lasting = BasicProperties::default().with_delivery_mode(2);
        let confirm = async {
            channel
                .basic_publish("".into(), queue.into(), options, b"an order", lasting)
                .await?
                .await
        };
        ensure!(
            timeout(LIMIT, confirm).await.context("no confirm")?? == Confirmation::Ack(None),
            "refused or returned"
        );
    }
    Ok(())
}

/// Deletes the queues; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
