//! The server closes the connection; the client's recovery brings back its channels and its consumer.
//!
//! Guarantee: confirmed messages are in the queue, whatever happens to the connection. What was not
//! confirmed is sent again and may be there twice. lapin's recovery can wait for ever after a node
//! was killed, so every wait has a limit.
//!
//! Run: `cargo run --example rabbitmq_recovery`

use std::{env, process, thread, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Event,
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
    time::{Instant, timeout, timeout_at},
};
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
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    let recovers = ConnectionProperties::default().enable_auto_recover();
    let connecting = Connection::connect_uri(uri, recovers.with_connection_name(name().into()));
    let lasting = timeout(LIMIT, connecting).await.context("no connection within 10 s")??;
    let publisher = lasting.create_channel().await?;
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    let reader = lasting.create_channel().await?;
    reader.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        reader.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    publish(&publisher, "order 1").await??;
    let order = timeout(LIMIT, orders.next()).await.context("no order")?.context("cancelled")??;
    ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged");
    println!("order 1: confirmed and read");

    let mut events = Box::pin(lasting.events_listener());
    spawn_blocking(close_by_the_server).await??;
    println!("the server closes the connection");
    // ANCHOR: recover
    while let Err(error) = publish(&publisher, "order 2").await? {
        // Not confirmed, so it is sent again: it may be in the queue already.
        eprintln!("order 2: {error}");
        let recovered = timeout(LIMIT, publisher.wait_for_recovery(error)).await;
        recovered.context("not recovered within 10 s: connect anew")??;
    }
    let deadline = Instant::now() + LIMIT * 3;
    while !matches!(timeout_at(deadline, events.next()).await?, Some(Event::Connected)) {}
    println!("lapin has connected again");
    publish(&publisher, "order 3").await??;
    println!("order 3: confirmed on the same channel");
    loop {
        // A consumer is not told of the pause.
        let next = timeout(LIMIT, orders.next()).await.context("no order: connect anew")?;
        let order = next.context("the consumer has ended")??;
        ensure!(order.ack(BasicAckOptions::default()).await?, "not acknowledged");
        if order.data == b"order 3" {
            break println!("order 3: read by the same consumer");
        }
    }
    // ANCHOR_END: recover
    clean_up(&channel).await?;
    for connection in [lasting, connection] {
        let closed = connection.close(200, "done".into()).await;
        closed.unwrap_or_else(|error| eprintln!("{error}")); // it may be closing already
    }
    Ok(())
}

/// Ends well if a queue has the order; the inner error says that nothing is known of it.
async fn publish(channel: &Channel, order: &str) -> Result<lapin::Result<()>> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let data = order.as_bytes();
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, data, lasting).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no answer within 10 s: connect anew")?;
    let taken = answer.as_ref().is_ok_and(|answer| *answer == Confirmation::Ack(None));
    ensure!(answer.is_err() || taken, "RabbitMQ refused or returned {order}");
    Ok(answer.map(drop))
}

/// The name of this run's connection: the same program may run elsewhere on the same broker.
fn name() -> String {
    format!("rabbitmq-recovery-{}", process::id())
}

/// Closes this program's connection through the management API, as an operator would. It blocks.
fn close_by_the_server() -> Result<()> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual) + "/api/connections";
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let deadline = Instant::now() + LIMIT * 3;
    loop {
        let all: Value = agent.get(&url).call()?.body_mut().read_json()?;
        let mut all = all.as_array().into_iter().flatten();
        let own = all.find(|connection| connection["user_provided_name"] == name().as_str());
        if let Some(name) = own.and_then(|connection| connection["name"].as_str()) {
            agent
                .delete(format!("{url}/{}", name.replace(' ', "%20").replace('>', "%3E")))
                .call()?;
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the management API did not list it within 30 s");
        thread::sleep(LIMIT / 50);
    }
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
