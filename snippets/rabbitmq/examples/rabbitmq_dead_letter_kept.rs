//! A dead letter that no queue takes: gone by default, kept in its queue with at-least-once.
//!
//! Guarantee: at least once: a letter leaves its queue when a queue has it. Holds for quorum queues
//! with `dead-letter-strategy` at-least-once and `overflow` reject-publish.
//!
//! Run: `cargo run --example rabbitmq_dead_letter_kept`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use ureq::Agent;

const EXCHANGE: &str = "rabbitmq-dead-letter-kept.refused";
const QUEUES: [&str; 2] =
    ["rabbitmq-dead-letter-kept.at-most-once", "rabbitmq-dead-letter-kept.at-least-once"];
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
    let (kind, lasting) =
        (ExchangeKind::Fanout, ExchangeDeclareOptions { durable: true, ..Default::default() });
    channel.exchange_declare(EXCHANGE.into(), kind, lasting, FieldTable::default()).await?;
    println!("{EXCHANGE}: an exchange that no queue is bound to");
    // ANCHOR: strategy
    for queue in QUEUES {
        let mut arguments = FieldTable::default();
        let mut set = |name: &str, value: &str| {
            arguments.insert(name.into(), AMQPValue::LongString(value.into()));
        };
        set("x-queue-type", "quorum");
        set("x-dead-letter-exchange", EXCHANGE);
        if queue.ends_with("at-least-once") {
            set("x-dead-letter-strategy", "at-least-once");
            set("x-overflow", "reject-publish"); // with drop-head it stays at most once
        }
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        publish(&channel, queue).await?;
    }
    // ANCHOR_END: strategy
    for queue in QUEUES {
        wait_for(queue, "messages_ready", 1).await?;
        refuse(&channel, queue).await?;
    }
    println!("an order refused in each of two queues");
    let [dropped, kept] = QUEUES;
    wait_for(dropped, "messages", 0).await?;
    println!("{dropped}: nothing is left");
    wait_for(kept, "messages_dlx", 1).await?;
    println!("{kept}: 1 waits to be dead-lettered");
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Waits until a number of a queue is as expected; the management API tells it after some seconds.
async fn wait_for(queue: &str, number: &str, expected: u64) -> Result<()> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual);
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let (url, deadline) = (format!("{url}/api/queues/%2f/{queue}"), Instant::now() + LIMIT);
    loop {
        let (agent, url) = (agent.clone(), url.clone());
        let state = spawn_blocking(move || agent.get(url).call()?.body_mut().read_json::<Value>());
        let state = state.await??;
        let told = state[number].as_u64();
        if told == Some(expected) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{queue} has {told:?} {number} after 30 s");
        sleep(Duration::from_millis(200)).await;
    }
}

async fn refuse(channel: &Channel, queue: &str) -> Result<()> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?;
    let order = timeout(LIMIT, orders.next()).await.context("no order within 30 s")?;
    let order = order.context("the consumer was cancelled")??;
    ensure!(order.reject(BasicRejectOptions { requeue: false }).await?, "not rejected");
    Ok(())
}

/// An order that says which queue it was in.
async fn publish(channel: &Channel, queue: &str) -> Result<()> {
    let options = MANDATORY;
    let lasting = BasicProperties::default().with_delivery_mode(2); // its letter is as lasting
    let data = format!("order of {queue}");
    let data = data.as_bytes();
    let confirm = async {
        channel.basic_publish("".into(), queue.into(), options, data, lasting).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 30 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned the order");
    Ok(())
}

/// Deletes queues and exchange; RabbitMQ accepts names that do not exist.
async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    Ok(())
}
