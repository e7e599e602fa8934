//! The server closes the connection; the client's recovery brings it back with its channel.
//!
//! Guarantee: confirmed messages are in the queue, whatever happens to the connection. What was not
//! confirmed is sent again and may be there twice. lapin's recovery can wait for ever after a node
//! was killed, so every wait has a limit.
//!
//! Run: `cargo run --example rabbitmq_recovery`

use std::{env, process, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use ureq::Agent;

const QUEUE: &str = "rabbitmq-recovery.orders";
const LIMIT: Duration = Duration::from_secs(10);

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
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    let recovers = ConnectionProperties::default().enable_auto_recover();
    let connecting = Connection::connect_uri(uri, recovers.with_connection_name(name().into()));
    let lasting = timeout(LIMIT, connecting).await.context("no connection within 10 s")??;
    let publisher = lasting.create_channel().await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    publish(&publisher, "order 1").await?;
    println!("order 1: confirmed");

    close_by_the_server().await?;
    let deadline = Instant::now() + LIMIT;
    while publisher.status().connected() {
        ensure!(Instant::now() < deadline, "the close was not noticed within 10 s");
        sleep(Duration::from_millis(5)).await;
    }
    println!("the server closes the connection");
    // ANCHOR: recover
    let deadline = Instant::now() + LIMIT * 3;
    let attempts = loop {
        ensure!(Instant::now() < deadline, "not recovered within 30 s: connect anew");
        match timeout(LIMIT / 2, publish(&publisher, "order 2")).await {
            Ok(Ok(())) => break "confirmed on the same channel",
            // Not confirmed, so it is sent again: it may be in the queue already.
            Ok(Err(error)) => eprintln!("order 2: {error:#}"),
            Err(_) => bail!("no answer within 5 s: connect anew"),
        }
        sleep(Duration::from_millis(200)).await;
    };
    println!("order 2: {attempts}");
    // ANCHOR_END: recover
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::durable() };
    let queue = channel.queue_declare(QUEUE.into(), passive, FieldTable::default()).await?;
    println!("orders in the queue, at least: {}", queue.message_count().min(2));
    clean_up(&channel).await?;
    for connection in [lasting, connection] {
        let closed = connection.close(200, "done".into()).await;
        closed.unwrap_or_else(|error| eprintln!("{error}")); // it may be closing already
    }
    Ok(())
}

/// The name of this run's connection: the same program may run elsewhere on the same broker.
fn name() -> String {
    format!("rabbitmq-recovery.publisher-{}", process::id())
}

async fn publish(channel: &Channel, order: &str) -> Result<()> {
    let (options, data) = (BasicPublishOptions::default(), order.as_bytes());
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, data, lasting).await?.await
    };
    let confirmed = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    ensure!(confirmed.is_ack(), "RabbitMQ refused {order:?}");
    Ok(())
}

/// Closes this program's connection through the management API, as an operator would.
async fn close_by_the_server() -> Result<()> {
    let deadline = Instant::now() + LIMIT * 3;
    loop {
        let connections = manage("GET", "connections", None)?;
        let own = connections
            .as_array()
            .context("no list")?
            .iter()
            .find(|c| c["user_provided_name"] == name().as_str());
        if let Some(name) = own.and_then(|connection| connection["name"].as_str()) {
            let name = name.replace(' ', "%20").replace('>', "%3E");
            manage("DELETE", &format!("connections/{name}"), None)?;
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the management API did not list it within 30 s");
        sleep(Duration::from_millis(200)).await;
    }
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
