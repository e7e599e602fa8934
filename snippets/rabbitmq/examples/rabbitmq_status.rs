//! Asks the management API who the broker is, and for a queue's depth and consumers.
//!
//! Guarantee: none; the numbers are a few seconds old. Counts that decide something are asked for by
//! a passive declare on the connection, which is exact.
//!
//! Run: `cargo run --example rabbitmq_status`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use ureq::Agent;

const QUEUE: &str = "rabbitmq-status.orders";
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
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    for _ in 0..5 {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let confirm = async {
            channel
                .basic_publish("".into(), QUEUE.into(), options, b"an order", properties)
                .await?
                .await
        };
        ensure!(timeout(LIMIT, confirm).await.context("no confirm")??.is_ack(), "refused");
    }
    channel.basic_qos(2, BasicQosOptions::default()).await?;
    let (tag, options) = ("worker-1".into(), BasicConsumeOptions::default());
    let consumer = channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;

    // ANCHOR: status
    let overview = manage("GET", "overview", None)?;
    println!("product: {} {}", text(&overview["product_name"]), text(&overview["product_version"]));
    println!("node: {}", text(&overview["node"]));
    let deadline = Instant::now() + LIMIT * 3; // it counts every 5 s
    loop {
        let queue = manage("GET", &format!("queues/%2F/{QUEUE}"), None)?;
        let number = |name: &str| queue[name].as_u64().unwrap_or_default();
        if (number("messages_ready"), number("messages_unacknowledged")) == (3, 2) {
            println!("{QUEUE}: {}, {}", text(&queue["type"]), text(&queue["state"]));
            println!("  in the queue: {}", number("messages_ready"));
            println!("  with a consumer, unacknowledged: {}", number("messages_unacknowledged"));
            println!("  consumers: {}", number("consumers"));
            break;
        }
        ensure!(Instant::now() < deadline, "the management API did not count within 30 s");
        sleep(Duration::from_millis(200)).await;
    }
    // ANCHOR_END: status
    drop(consumer);
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// Asks the management API, which runs on a port of its own.
fn manage(method: &str, path: &str, body: Option<Value>) -> Result<Value> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = format!("{}/api/{path}", env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual));
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let mut answer = match body {
        Some(body) => agent.put(&url).send_json(body)?,
        None if method == "DELETE" => agent.delete(&url).call()?,
        None => agent.get(&url).call()?,
    };
    let text = answer.body_mut().read_to_string()?;
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
