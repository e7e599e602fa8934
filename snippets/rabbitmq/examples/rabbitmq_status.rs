//! Asks the management API for a queue's depth and consumers, and the queue itself by a passive declare.
//!
//! Guarantee: none. The numbers of the API are seconds old. A passive declare counts what is ready and
//! nothing else, no consumer of a stream, and 0 when the leader does not answer: never delete on it.
//!
//! Run: `cargo run --example rabbitmq_status`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
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

const QUEUES: [(&str, &str); 2] =
    [("rabbitmq-status.orders", "quorum"), ("rabbitmq-status.history", "stream")];
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
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let reading = connection.create_channel().await?;
    reading.basic_qos(2, BasicQosOptions::default()).await?;
    let mut consumers = Vec::new();
    for (queue, kind) in QUEUES {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
        for _ in 0..5 {
            publish(&channel, queue).await?;
        }
        let mut first = FieldTable::default();
        first.insert("x-stream-offset".into(), AMQPValue::LongString("first".into())); // streams only
        let arguments = if kind == "stream" { first } else { FieldTable::default() };
        let (tag, options) = ("".into(), BasicConsumeOptions::default());
        consumers.push(reading.basic_consume(queue.into(), tag, options, arguments).await?);
    }

    // ANCHOR: status
    let overview = manage("overview".to_owned()).await?;
    println!("product: {} {}", text(&overview["product_name"]), text(&overview["product_version"]));
    println!("node: {}", text(&overview["node"]));
    let critical = "health/checks/node-is-quorum-critical";
    println!("{critical}: {}", text(&manage(critical.to_owned()).await?["status"]));
    for (name, _) in QUEUES {
        let queue = counted(name).await?;
        println!("{name}: {}, {}", text(&queue["type"]), text(&queue["state"]));
        println!("  ready: {}", queue["messages_ready"]);
        println!("  with a consumer, unacknowledged: {}", queue["messages_unacknowledged"]);
        println!("  consumers: {}", queue["consumers"]);
        let passive = QueueDeclareOptions::default().passive();
        let queue = channel.queue_declare(name.into(), passive, FieldTable::default()).await?;
        let (messages, consumers) = (queue.message_count(), queue.consumer_count());
        println!("  a passive declare: {messages} messages, {consumers} consumers");
    }
    // ANCHOR_END: status
    reading.close(200, "done".into()).await?;
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Waits until the management API has counted all of a queue: it does so every 5 s.
async fn counted(queue: &str) -> Result<Value> {
    let deadline = Instant::now() + LIMIT * 3;
    loop {
        let state = manage(format!("queues/%2F/{queue}")).await?;
        let number = |name: &str| state[name].as_u64().unwrap_or_default();
        let held = if state["type"] == "stream" { 0 } else { 2 }; // reading a stream takes nothing out
        let counts = ["messages_unacknowledged", "messages_ready", "consumers"].map(number);
        if counts == [held, 5 - held, 1] {
            return Ok(state);
        }
        ensure!(Instant::now() < deadline, "the management API did not count within 30 s: {state}");
        sleep(Duration::from_millis(200)).await;
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// Asks the management API, which runs on a port of its own. The call blocks a thread of its own.
async fn manage(path: String) -> Result<Value> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = format!("{}/api/{path}", env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual));
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    spawn_blocking(move || Ok(agent.get(&url).call()?.body_mut().read_json()?)).await?
}

async fn publish(channel: &Channel, queue: &str) -> Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), queue.into(), options, b"an order", lasting).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned an order");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for (queue, _) in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
