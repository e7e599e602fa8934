//! Recovery by hand: on any error or silence drop the connection, connect anew and go on.
//!
//! Guarantee: at least once: what is confirmed is read; what was confirmed or acknowledged too late
//! comes twice. Nothing of a lost connection is used again, so it holds for every failure.
//!
//! Run: `cargo run --example rabbitmq_reconnect`

use std::{collections::BTreeSet, env, process, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use ureq::Agent;

const QUEUE: &str = "rabbitmq-reconnect.orders";
const ORDERS: usize = 60;
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
    connection.close(200, "done".into()).await?;
    // ANCHOR: by_hand
    let (mut confirmed, mut closed, mut read) = (0, 0, BTreeSet::new());
    let publishing = async {
        while confirmed < ORDERS {
            let attempt = timeout(LIMIT * 3, publish_from(&uri, &mut confirmed, &mut closed)).await;
            again("publisher", attempt.context("silence").flatten()).await;
        }
    };
    let reading = async {
        while read.len() < ORDERS {
            // A service has no such limit on reading: silence is normal.
            let attempt = timeout(LIMIT * 3, read_until_all(&uri, &mut read)).await;
            again("consumer", attempt.context("silence").flatten()).await;
        }
    };
    let both = async { tokio::join!(publishing, reading) };
    timeout(LIMIT * 9, both).await.context("not done within 90 s")?;
    // ANCHOR_END: by_hand
    println!("closed {closed} times, confirmed: {confirmed}\nof these read: {}", read.len());
    clean_up(&connect(&uri).await?.create_channel().await?).await
}

/// Says what went wrong and waits a little; longer each time, in production.
async fn again(who: &str, attempt: Result<()>) {
    if let Err(error) = attempt {
        eprintln!("{who}: {error:#}; connecting anew");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Publishes on a connection of its own, from the first order that is not confirmed.
async fn publish_from(uri: &AMQPUri, confirmed: &mut usize, closed: &mut usize) -> Result<()> {
    let connection = connect(uri).await?;
    let channel = open(&connection).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    while *confirmed < ORDERS {
        if *closed < 2 && *confirmed >= (*closed + 1) * 20 {
            close_both().await?; // as an operator would, while the client is at work
            *closed += 1;
        }
        let (data, set) = (format!("order {confirmed}"), BasicPublishOptions::default());
        let (data, lasting) = (data.as_bytes(), BasicProperties::default().with_delivery_mode(2));
        let confirm = async {
            channel.basic_publish("".into(), QUEUE.into(), set, data, lasting).await?.await
        };
        let answer = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
        ensure!(answer.is_ack(), "RabbitMQ refused an order");
        *confirmed += 1;
        if *confirmed == 10 {
            println!("10 orders are confirmed; the server closes both connections twice");
        }
    }
    Ok(())
}

/// Consumes on a connection of its own; an order that comes twice counts once.
async fn read_until_all(uri: &AMQPUri, read: &mut BTreeSet<Vec<u8>>) -> Result<()> {
    let connection = connect(uri).await?;
    let channel = open(&connection).await?;
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    while read.len() < ORDERS {
        let order = timeout(LIMIT, orders.next()).await.context("no order within 10 s")?;
        let order = order.context("cancelled")??;
        read.insert(order.data.clone());
        order.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

async fn connect(uri: &AMQPUri) -> Result<Connection> {
    let name = format!("{QUEUE}-{}", process::id()); // the program may run elsewhere as well
    let named = ConnectionProperties::default().with_connection_name(name.into());
    let connecting = Connection::connect_uri(uri.clone(), named);
    Ok(timeout(LIMIT, connecting).await.context("no connection within 10 s")??)
}

/// A channel, and the queue: after a failure it may be another broker that answers.
async fn open(connection: &Connection) -> Result<Channel> {
    let (channel, options) = (connection.create_channel().await?, QueueDeclareOptions::durable());
    channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await?;
    Ok(channel)
}

/// Closes this program's two connections through the management API, which lists them after seconds.
async fn close_both() -> Result<()> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual) + "/api/connections";
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let (mut closed, deadline) = (BTreeSet::new(), Instant::now() + LIMIT * 2);
    let run = format!("{QUEUE}-{}", process::id());
    while closed.len() < 2 {
        ensure!(Instant::now() < deadline, "the management API closed {closed:?} in 20 s");
        sleep(LIMIT / 50).await;
        let all: Value = agent.get(&url).call()?.body_mut().read_json()?;
        let own = all.as_array().into_iter().flatten().filter(|c| c["user_provided_name"] == run);
        for name in own.filter_map(|connection| connection["name"].as_str()) {
            let path = name.replace(' ', "%20").replace('>', "%3E");
            if !closed.contains(name) && agent.delete(format!("{url}/{path}")).call().is_ok() {
                closed.insert(name.to_owned());
            }
        }
    }
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    Ok(channel.queue_delete(QUEUE.into(), Default::default()).await.map(drop)?)
}
