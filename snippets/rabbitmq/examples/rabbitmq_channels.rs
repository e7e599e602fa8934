//! One connection for the process and a channel for each task; and a consumer that stops in order.
//!
//! Guarantee: a soft error closes one channel, and the others work on. A consumer that is cancelled
//! and finishes what it has leaves nothing half done: no order that it was sent comes again.
//!
//! Run: `cargo run --example rabbitmq_channels`

use std::{env, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicPublishOptions,
        BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::{signal, sync::Notify, task::JoinSet, time::timeout};

const QUEUE: &str = "rabbitmq-channels.orders";
const TASKS: usize = 4;
const PREFETCH: u16 = 5;
const LIMIT: Duration = Duration::from_secs(10);
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
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    // ANCHOR: tasks
    let connection = Arc::new(connection);
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let connection = connection.clone();
        tasks.spawn(async move {
            let channel = connection.create_channel().await?; // a channel is not shared
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let exchange = if task == 0 { "rabbitmq-channels.gone" } else { "" };
            publish(&channel, exchange, 10).await
        });
    }
    let (mut published, mut failed) = (0, Vec::new());
    while let Some(task) = tasks.join_next().await {
        match task? {
            Ok(count) => published += count,
            Err(error) => failed.push(error.to_string()),
        }
    }
    println!("tasks that failed: {}, orders of the others: {published}", failed.len());
    println!("  {}", failed.join(", "));
    // ANCHOR_END: tasks

    stop_in_order(&connection.create_channel().await?).await?;
    println!("a consumer that was told to stop has finished what it had");
    for next in ["is cut off with five orders in hand", "finds them again"] {
        let channel = connection.create_channel().await?;
        let mut orders = consumer(&channel).await?;
        let (mut held, mut again) = (Vec::new(), 0);
        while held.len() < usize::from(PREFETCH) {
            let order = timeout(LIMIT, orders.next()).await.context("no order within 10 s")?;
            held.push(order.context("cancelled")??);
            again += usize::from(held.last().is_some_and(|order| order.redelivered));
        }
        println!("  of the next 5 orders {again} were sent before; their consumer {next}");
        channel.close(200, "cut off".into()).await?;
    }
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: stop
/// Works until it is told to stop, here by its third order.
async fn stop_in_order(channel: &Channel) -> Result<()> {
    let told_to_stop = Notify::new();
    let mut orders = consumer(channel).await?;
    let (mut done, mut stopping) = (0, false);
    // One future for the whole loop: a new one would miss a signal that came before it.
    let mut stop = pin!(stopped(&told_to_stop));
    loop {
        let order = tokio::select! {
            biased;
            told = &mut stop, if !stopping => {
                told?;
                stopping = true; // nothing new comes, and what is here already is finished
                channel.basic_cancel(orders.tag(), BasicCancelOptions::default()).await?;
                continue;
            }
            order = orders.next() => order,
        };
        let Some(order) = order.transpose()? else { break };
        done += 1;
        if done == 3 {
            told_to_stop.notify_one();
        }
        ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged");
    }
    Ok(channel.close(200, "done".into()).await?)
}

/// Ctrl-C, a container's SIGTERM, or whatever else tells a service to stop.
async fn stopped(told: &Notify) -> Result<()> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    #[cfg(unix)]
    let terminated = terminate.recv();
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        pressed = signal::ctrl_c() => Ok(pressed?),
        _ = terminated => Ok(()),
        () = told.notified() => Ok(()),
    }
}
// ANCHOR_END: stop

async fn consumer(channel: &Channel) -> Result<Consumer> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?)
}

async fn publish(channel: &Channel, exchange: &str, count: usize) -> Result<usize> {
    for _ in 0..count {
        let lasting = BasicProperties::default().with_delivery_mode(2);
        let (to, key) = (exchange.into(), QUEUE.into());
        let confirm =
            async { channel.basic_publish(to, key, MANDATORY, b"an order", lasting).await?.await };
        let answer = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
        ensure!(answer == Confirmation::Ack(None), "refused or returned");
    }
    Ok(count)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
