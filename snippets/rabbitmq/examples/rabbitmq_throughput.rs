//! Many small messages: a publisher with a window of confirms and a consumer with acks in groups.
//!
//! Guarantee: every message is confirmed and acknowledged; the count ends when the last one is.
//! Transient messages: the disk takes no part, which is not how to keep what matters.
//!
//! Run: `cargo run --example rabbitmq_throughput`

use std::{collections::VecDeque, env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::{Instant, timeout};

const QUEUE: &str = "rabbitmq-throughput.log-lines";
const MESSAGES: usize = 50_000;
const OUTSTANDING: usize = 1000;
const PREFETCH: u16 = 300;
const GROUP: usize = 100;
const LIMIT: Duration = Duration::from_secs(30);
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
    let messages = env::args().nth(1).map_or(Ok(MESSAGES), |count| count.parse())?;
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    // A connection each: its socket and its thread are what limits a client.
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    let other = timeout(LIMIT, connecting).await.context("no connection within 30 s")??;
    let consuming = tokio::spawn(consume(other.create_channel().await?, messages));
    let started = Instant::now();
    publish(&channel, messages).await?;
    let published = messages as f64 / started.elapsed().as_secs_f64();
    consuming.await??;
    let consumed = messages as f64 / started.elapsed().as_secs_f64();
    println!("{messages} messages of 100 bytes through {QUEUE}");
    println!("all confirmed: in this run {published:.0} a second");
    println!("all acknowledged: in this run {consumed:.0} a second");
    clean_up(&channel).await?;
    other.close(200, "done".into()).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: window
async fn publish(channel: &Channel, messages: usize) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut waiting: VecDeque<PublisherConfirm> = VecDeque::new();
    for _ in 0..messages {
        if waiting.len() == OUTSTANDING {
            confirmed(waiting.pop_front()).await?; // the oldest: the others are mostly there too
        }
        let (options, properties) = (MANDATORY, BasicProperties::default());
        let line = [b'x'; 100];
        let published = channel.basic_publish("".into(), QUEUE.into(), options, &line, properties);
        waiting.push_back(timeout(LIMIT, published).await.context("not written within 30 s")??);
    }
    for confirm in waiting {
        confirmed(Some(confirm)).await?;
    }
    Ok(())
}

async fn consume(channel: Channel, messages: usize) -> Result<()> {
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut lines =
        channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    for number in 1..=messages {
        let line = timeout(LIMIT, lines.next()).await.context("no message within 30 s")?;
        let line = line.context("the consumer was cancelled")??;
        if number % GROUP == 0 || number == messages {
            ensure!(line.ack(BasicAckOptions { multiple: true }).await?, "not acknowledged"); // for all before it as well
        }
    }
    drop(lines);
    Ok(channel.close(200, "done".into()).await?)
}
// ANCHOR_END: window

async fn confirmed(confirm: Option<PublisherConfirm>) -> Result<()> {
    let confirm = confirm.context("nothing is outstanding")?;
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 30 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned a message");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
