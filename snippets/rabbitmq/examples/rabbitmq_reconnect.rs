//! Recovery by hand: on any error or silence drop the connection, connect anew and go on.
//!
//! Guarantee: at least once: nothing confirmed is lost, and what was not confirmed is sent again.
//! Holds for every failure, because nothing of the old connection is used again.
//!
//! Run: `cargo run --example rabbitmq_reconnect`

use std::{collections::BTreeSet, env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use ureq::Agent;

const QUEUE: &str = "rabbitmq-reconnect.orders";
const NAME: &str = "rabbitmq-reconnect.publisher";
const ORDERS: usize = 20;
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
    println!("{ORDERS} orders; the server closes the connection twice");
    // ANCHOR: by_hand
    let mut confirmed = 0;
    let mut connections = 0;
    let deadline = Instant::now() + LIMIT * 6;
    while confirmed < ORDERS {
        ensure!(Instant::now() < deadline, "only {confirmed} confirmed within 60 s");
        connections += 1;
        let published = timeout(LIMIT * 3, publish_from(&uri, &mut confirmed, connections)).await;
        if let Err(error) = published.context("silence").and_then(|done| done) {
            eprintln!("after {confirmed} orders: {error:#}");
            sleep(Duration::from_millis(200)).await; // longer each time, in production
        }
    }
    // ANCHOR_END: by_hand
    let orders = take_all(&channel, QUEUE).await?;
    let distinct: BTreeSet<&String> = orders.iter().collect();
    println!("confirmed: {confirmed}, by {connections} connections");
    println!("of these lost: {}", confirmed - distinct.len());
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Publishes on a connection of its own, from the first order that is not confirmed.
async fn publish_from(uri: &AMQPUri, confirmed: &mut usize, attempt: usize) -> Result<()> {
    let named = ConnectionProperties::default().with_connection_name(NAME.into());
    let connecting = Connection::connect_uri(uri.clone(), named);
    let connection = timeout(LIMIT, connecting).await.context("no connection within 10 s")??;
    let channel = connection.create_channel().await?;
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    while *confirmed < ORDERS {
        if attempt < 3 && *confirmed >= attempt * 7 {
            close_by_the_server().await?;
            while connection.status().connected() {
                sleep(Duration::from_millis(20)).await; // until it is noticed here
            }
        }
        let (options, data) = (BasicPublishOptions::default(), format!("order {confirmed}"));
        let (data, lasting) = (data.as_bytes(), BasicProperties::default().with_delivery_mode(2));
        let published = channel.basic_publish("".into(), QUEUE.into(), options, data, lasting);
        let confirm = timeout(LIMIT, published).await.context("not written within 10 s")??;
        let answer = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
        ensure!(answer.is_ack(), "RabbitMQ refused an order");
        *confirmed += 1;
    }
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Closes this program's connection through the management API, as an operator would.
async fn close_by_the_server() -> Result<()> {
    let deadline = Instant::now() + LIMIT * 3;
    loop {
        let all = manage("GET", "connections", None)?;
        let all = all.as_array().context("no list")?;
        let own = all.iter().find(|c| c["user_provided_name"] == NAME);
        if let Some(name) = own.and_then(|connection| connection["name"].as_str()) {
            let name = name.replace(' ', "%20").replace('>', "%3E");
            if manage("DELETE", &format!("connections/{name}"), None).is_ok() {
                return Ok(()); // else it was one that is gone already
            }
        }
        ensure!(Instant::now() < deadline, "the management API did not list it within 30 s");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Takes what is in a queue, in order, and acknowledges it.
async fn take_all(channel: &Channel, queue: &str) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    let options = BasicGetOptions::default();
    while let Some(message) = channel.basic_get(queue.into(), options).await? {
        taken.push(String::from_utf8_lossy(&message.data).into_owned());
        message.ack(BasicAckOptions::default()).await?;
    }
    Ok(taken)
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
