//! Two workers on one queue: with a prefetch of 1 the work is shared, without a limit one has it all.
//!
//! Guarantee: a message that was not acknowledged is delivered again when its worker's channel
//! closes. With a prefetch limit no worker holds more messages than that at a time.
//!
//! Run: `cargo run --example rabbitmq_work_queue`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-work-queue.images";
const IMAGES: usize = 6;
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
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    println!("{IMAGES} images, no prefetch limit, a second worker joins");
    publish(&channel).await?;
    let greedy = connection.create_channel().await?;
    let mut all = worker(&greedy, 0).await?;
    let mut held = Vec::new();
    for _ in 0..IMAGES {
        held.push(next(&mut all).await?);
    }
    let late = connection.create_channel().await?;
    let mut nothing = worker(&late, 0).await?;
    println!("  worker 1 was sent {}", held.len());
    println!("  left in the queue for worker 2: {}", ready(&channel).await?);

    println!("worker 1 dies with all of them unacknowledged");
    greedy.close(200, "dies".into()).await?; // a lost connection does the same
    let mut again = 0;
    for _ in 0..IMAGES {
        let image = next(&mut nothing).await?;
        again += usize::from(image.redelivered);
        ensure!(image.ack(BasicAckOptions::default()).await?, "not acknowledged");
    }
    println!("  worker 2 was sent {IMAGES}, {again} marked as redelivered");
    late.close(200, "done".into()).await?;

    // ANCHOR: fair
    println!("prefetch 1: each worker has one image at a time");
    let (left, right) = (connection.create_channel().await?, connection.create_channel().await?);
    let (mut slow, mut fast) = (worker(&left, 1).await?, worker(&right, 1).await?);
    publish(&channel).await?;
    let stuck = next(&mut slow).await?; // works on its first image all the time
    let mut done = 0;
    while done < IMAGES - 1 {
        ensure!(next(&mut fast).await?.ack(BasicAckOptions::default()).await?, "not acknowledged");
        done += 1;
    }
    println!("  the fast worker did {done} while the slow one had 1");
    ensure!(stuck.ack(BasicAckOptions::default()).await?, "not acknowledged");
    // ANCHOR_END: fair

    println!("acks in batches: one answer for all before it");
    let batch = connection.create_channel().await?;
    let mut images = worker(&batch, 3).await?;
    left.close(200, "done".into()).await?;
    right.close(200, "done".into()).await?;
    publish(&channel).await?;
    for number in 1..=IMAGES {
        let image = next(&mut images).await?;
        if number % 3 == 0 {
            ensure!(image.ack(BasicAckOptions { multiple: true }).await?, "not acknowledged");
        }
    }
    batch.close(200, "done".into()).await?; // what was not acknowledged would come back
    println!("  {IMAGES} images, 2 acks, back in the queue: {}", ready(&channel).await?);
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Starts a worker that is sent at most `prefetch` messages at a time; 0 is no limit.
async fn worker(channel: &Channel, prefetch: u16) -> Result<Consumer> {
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?)
}

async fn next(worker: &mut Consumer) -> Result<Delivery> {
    let next = timeout(LIMIT, worker.next()).await.context("no image within 10 s")?;
    Ok(next.context("the consumer was cancelled")??)
}

/// How many messages lie in the queue and are with no worker.
async fn ready(channel: &Channel) -> Result<u32> {
    let passive = QueueDeclareOptions::durable().passive();
    let queue = channel.queue_declare(QUEUE.into(), passive, FieldTable::default()).await?;
    Ok(queue.message_count())
}

async fn publish(channel: &Channel) -> Result<()> {
    for number in 1..=IMAGES {
        let (options, data) = (MANDATORY, format!("image {number}"));
        let lasting = BasicProperties::default().with_delivery_mode(2);
        let data = data.as_bytes();
        let confirm = async {
            channel.basic_publish("".into(), QUEUE.into(), options, data, lasting).await?.await
        };
        let confirmed = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
        ensure!(
            confirmed == Confirmation::Ack(None),
            "RabbitMQ refused or returned image {number}"
        );
    }
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
