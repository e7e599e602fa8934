//! Recovery by hand: on any error drop the connection, connect to a node that answers and go on.
//!
//! Guarantee: at least once: what is confirmed is read; what was confirmed or acknowledged too late
//! comes twice. Nothing of a lost connection is used again, so it holds for every failure.
//!
//! Run: `cargo run --example rabbitmq_reconnect`

use std::{collections::BTreeSet, env, process, thread, time::Duration};

use anyhow::{Context, Error, Result, anyhow, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use serde_json::Value;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use ureq::Agent;

const QUEUE: &str = "rabbitmq-reconnect.orders";
const ORDERS: usize = 60;
const LIMIT: Duration = Duration::from_secs(5);
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

#[tokio::main]
async fn main() -> Result<()> {
    let urls = env::var("AMQP_URL").unwrap_or("amqp://localhost:5672/%2f".to_owned());
    let nodes = urls.split(',').map(|url| url.parse().map_err(Error::msg)); // node-1,node-2,node-3
    let nodes: Vec<AMQPUri> =
        nodes.collect::<Result<_>>().context("AMQP_URL is no AMQP address")?;
    clean_up(&connect(&nodes).await?.create_channel().await?).await?; // left by a run cut off

    // ANCHOR: by_hand
    let (mut confirmed, mut closed, mut read) = (0, 0, BTreeSet::new());
    let publishing = async || publish_from(&nodes, &mut confirmed, &mut closed).await;
    let publishing = until_done("publisher", publishing);
    let reading = until_done("consumer", async || read_until_all(&nodes, &mut read).await);
    let both = async { tokio::join!(publishing, reading) };
    timeout(Duration::from_secs(90), both).await.context("not done within 90 s")?;
    // ANCHOR_END: by_hand
    println!("closed {closed} times, confirmed: {confirmed}\nof these read: {}", read.len());
    clean_up(&connect(&nodes).await?.create_channel().await?).await
}

/// Does its work until that ends well. After a failure it waits, longer each time.
async fn until_done(who: &str, mut work: impl AsyncFnMut() -> Result<()>) {
    let mut pause = PAUSES[0];
    loop {
        let started = Instant::now();
        let Err(error) = work().await else { return };
        pause = if started.elapsed() > PAUSES[1] { PAUSES[0] } else { PAUSES[1].min(pause * 2) };
        eprintln!("{who}: {error:#}; connecting anew");
        sleep(pause).await;
    }
}

/// Publishes on a connection of its own, from the first order that is not confirmed.
async fn publish_from(nodes: &[AMQPUri], confirmed: &mut usize, closed: &mut usize) -> Result<()> {
    let connection = connect(nodes).await?;
    let channel = open(&connection).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    while *confirmed < ORDERS {
        if *closed < 2 && *confirmed >= (*closed + 1) * 20 {
            spawn_blocking(close_both).await??; // as an operator would, while the client is at work
            *closed += 1;
        }
        let set = BasicPublishOptions { mandatory: true, ..Default::default() };
        let (data, lasting) = (format!("order {confirmed}"), BasicProperties::default());
        let (data, lasting) = (data.as_bytes(), lasting.with_delivery_mode(2));
        let confirm = async {
            channel.basic_publish("".into(), QUEUE.into(), set, data, lasting).await?.await
        };
        let answer = timeout(LIMIT, confirm).await.context("no confirm within 5 s")??;
        ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned an order");
        *confirmed += 1;
        if *confirmed == 10 {
            println!("10 orders are confirmed; the server closes both connections twice");
        }
    }
    Ok(())
}

/// Consumes on a connection of its own; an order that comes twice counts once. Silence is normal
/// here: the heartbeat finds a connection that is dead.
async fn read_until_all(nodes: &[AMQPUri], read: &mut BTreeSet<Vec<u8>>) -> Result<()> {
    let connection = connect(nodes).await?;
    let channel = open(&connection).await?;
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    while read.len() < ORDERS {
        let order = orders.next().await.context("cancelled")??;
        read.insert(order.data.clone());
        ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged");
    }
    Ok(())
}

/// Connects to the first node that answers.
async fn connect(nodes: &[AMQPUri]) -> Result<Connection> {
    let mut failed = anyhow!("AMQP_URL is empty");
    for node in nodes {
        let name = format!("{QUEUE}-{}", process::id()); // the program may run elsewhere as well
        let named = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = timeout(LIMIT, Connection::connect_uri(node.clone(), named)).await;
        match connecting.map_err(Error::from).and_then(|done| done.map_err(Error::from)) {
            Ok(connection) => return Ok(connection),
            Err(error) => {
                let broker = format!("{}:{}", node.authority.host, node.authority.port);
                failed = error.context(format!(
                    "cannot use RabbitMQ at {broker}; to start one: docker compose up -d --wait, \
                     or cargo run --bin sandbox -- up"
                ));
            }
        }
    }
    Err(failed)
}

/// A channel, and the queue: after a failure it may be another broker that answers.
async fn open(connection: &Connection) -> Result<Channel> {
    let (channel, options) = (connection.create_channel().await?, QueueDeclareOptions::durable());
    channel.queue_declare(QUEUE.into(), options, FieldTable::default()).await?;
    Ok(channel)
}

/// Closes this run's two connections through the management API, which lists them after seconds.
fn close_both() -> Result<()> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual) + "/api/connections";
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let (mut closed, deadline) = (BTreeSet::new(), Instant::now() + LIMIT * 4);
    let run = format!("{QUEUE}-{}", process::id());
    while closed.len() < 2 {
        ensure!(Instant::now() < deadline, "the management API closed {closed:?} in 20 s");
        thread::sleep(PAUSES[0]);
        let all: Value = agent.get(&url).call()?.body_mut().read_json()?;
        let own = all.as_array().into_iter().flatten().filter(|c| c["user_provided_name"] == run);
        for name in own.filter_map(|connection| connection["name"].as_str()) {
            let path = name.replace(' ', "%20").replace('>', "%3E"); // listed for a while after
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
