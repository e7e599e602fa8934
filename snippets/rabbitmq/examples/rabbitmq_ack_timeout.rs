//! A consumer that holds a message for too long loses it, and is cancelled without an error.
//!
//! Guarantee: at least once: the message goes to another consumer. Holds for quorum queues; a classic
//! queue waits for ever. The limit is 30 minutes by default, and 5 s here.
//!
//! Run: `cargo run --example rabbitmq_ack_timeout`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
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

const QUEUE: &str = "rabbitmq-ack-timeout.images";
const LIMIT: Duration = Duration::from_secs(30);
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
    // ANCHOR: timeout
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-consumer-timeout".into(), AMQPValue::LongInt(5000)); // milliseconds
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    publish(&channel).await?;

    let slow = connection.create_channel().await?;
    let mut stuck = consumer(&slow).await?;
    let image = timeout(LIMIT, stuck.next()).await.context("no image within 30 s")?;
    let image = image.context("cancelled")??;
    println!("a consumer has an image and does not acknowledge it");
    match timeout(LIMIT, stuck.next()).await.context("still not cancelled after 30 s")? {
        None => println!("its stream of deliveries ends: cancelled, without an error"),
        Some(Err(error)) => println!("an error: {error}"),
        Some(Ok(_)) => println!("another delivery"),
    }
    println!("its channel is open: {}", slow.status().connected());
    // ANCHOR_END: timeout
    let mut other = consumer(&channel).await?;
    let again = timeout(LIMIT, other.next()).await.context("no image within 30 s")?;
    let again = again.context("cancelled")??;
    println!("another consumer gets it, redelivered: {}", again.redelivered);
    ensure!(again.ack(BasicAckOptions::default()).await?, "not acknowledged");

    // What not to do: with a late ack the broker takes the cancelled consumer back, and lapin does
    // not know it any more.
    ensure!(image.ack(BasicAckOptions::default()).await?, "not acknowledged");
    slow.basic_qos(1, BasicQosOptions::default()).await?; // answered, so the ack is processed
    for _ in 0..10 {
        publish(&channel).await?;
    }
    let mut received = 0;
    while let Ok(Some(image)) = timeout(Duration::from_secs(2), other.next()).await {
        ensure!(image?.ack(BasicAckOptions::default()).await?, "not acknowledged");
        received += 1;
    }
    println!("after a late ack the other consumer gets {received} of ten more images");
    slow.close(200, "timed out".into()).await?; // what to do, instead of the ack
    let last = timeout(LIMIT, other.next()).await.context("no image within 30 s")?;
    let last = last.context("cancelled")??;
    println!("the slow channel is closed: it gets the last one, redelivered: {}", last.redelivered);
    ensure!(last.ack(BasicAckOptions::default()).await?, "not acknowledged");
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

async fn consumer(channel: &Channel) -> Result<Consumer> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?)
}

async fn publish(channel: &Channel) -> Result<()> {
    let options = MANDATORY;
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, b"an image", lasting).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 30 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned the image");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
