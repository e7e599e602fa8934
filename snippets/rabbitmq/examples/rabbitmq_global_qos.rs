//! A prefetch limit for a whole channel is accepted, and then counts for each of its consumers.
//!
//! Guarantee: with `basic_qos` each consumer that is started after it on its channel holds at most
//! so many messages. A limit for all consumers of a channel together is no more to be had.
//!
//! Run: `cargo run --example rabbitmq_global_qos`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUES: [&str; 2] = ["rabbitmq-global-qos.orders", "rabbitmq-global-qos.invoices"];
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
    for queue in QUEUES {
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(queue.into(), durable, FieldTable::default()).await?;
        for _ in 0..5 {
            publish(&channel, queue).await?;
        }
    }
    // ANCHOR: qos
    for global in [false, true] {
        let shared = connection.create_channel().await?;
        shared.basic_qos(1, BasicQosOptions { global }).await?;
        let mut held = Vec::new();
        for queue in QUEUES {
            let (tag, options) = ("".into(), BasicConsumeOptions::default());
            let mut orders =
                shared.basic_consume(queue.into(), tag, options, FieldTable::default()).await?;
            let order = timeout(LIMIT, orders.next()).await;
            held.push(order.with_context(|| format!("{} held, no more in 10 s", held.len()))?);
        }
        println!("limit 1, global {global}: two consumers of a channel hold {}", held.len());
        shared.close(200, "done".into()).await?;
    }
    // ANCHOR_END: qos
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
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
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
