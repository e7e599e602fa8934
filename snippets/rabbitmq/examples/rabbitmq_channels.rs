//! One connection for the process and a channel for each task; and a consumer that stops in order.
//!
//! Guarantee: an error closes one channel, and the others work on. A consumer that is cancelled first
//! and closed after its last ack leaves nothing half done.
//!
//! Run: `cargo run --example rabbitmq_channels`

use std::{env, sync::Arc, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions,
        BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::{task::JoinSet, time::timeout};

const QUEUE: &str = "rabbitmq-channels.orders";
const TASKS: usize = 4;
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
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    // ANCHOR: tasks
    let connection = Arc::new(connection);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let connection = connection.clone();
        tasks.spawn(async move {
            let channel = connection.create_channel().await?; // a channel is not shared
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let exchange = if task == 0 { "rabbitmq-channels.gone" } else { "" };
            publish(&channel, exchange, 5).await
        });
    }
    let (mut published, mut failed) = (0, 0);
    while let Some(task) = tasks.join_next().await {
        match task? {
            Ok(count) => published += count,
            Err(error) => {
                println!("one task: {error}");
                failed += 1;
            }
        }
    }
    println!("tasks that failed: {failed}, orders of the others: {published}");
    // ANCHOR_END: tasks

    // ANCHOR: stop
    channel.basic_qos(5, BasicQosOptions::default()).await?;
    let (tag, options) = ("billing", BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(QUEUE.into(), tag.into(), options, FieldTable::default()).await?;
    let mut done = 0;
    while let Some(order) = timeout(LIMIT, orders.next()).await.context("no order")? {
        let order = order?;
        done += 1;
        if done == 3 {
            // Told to stop: nothing new comes, and what is here already is finished.
            channel.basic_cancel(tag.into(), BasicCancelOptions::default()).await?;
        }
        order.ack(BasicAckOptions::default()).await?;
    }
    channel.close(200, "done".into()).await?;
    // ANCHOR_END: stop
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    let queue = channel.queue_declare(QUEUE.into(), passive, FieldTable::default()).await?;
    ensure!(done + queue.message_count() as usize == published, "an order is missing");
    println!("stopped: done and still in the queue are together {published}");
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

async fn publish(channel: &Channel, exchange: &str, count: usize) -> Result<usize> {
    for _ in 0..count {
        let options = BasicPublishOptions::default();
        let lasting = BasicProperties::default().with_delivery_mode(2);
        let (exchange, key) = (exchange.into(), QUEUE.into());
        let confirm = async {
            channel.basic_publish(exchange, key, options, b"an order", lasting).await?.await
        };
        ensure!(timeout(LIMIT, confirm).await.context("no confirm")??.is_ack(), "refused");
    }
    Ok(count)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
