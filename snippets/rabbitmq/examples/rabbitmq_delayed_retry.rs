//! A quorum queue that holds back what was rejected, longer each time, by itself.
//!
//! Guarantee: a message that is given back is not delivered again before the pause is over. Holds on
//! quorum queues of RabbitMQ 4.3 and later.
//!
//! Run: `cargo run --example rabbitmq_delayed_retry`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicRejectOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::{Instant, timeout};

const QUEUE: &str = "rabbitmq-delayed-retry.orders";
const PAUSE: i32 = 300; // ms, times the number of failures
const LIMIT: Duration = Duration::from_secs(20);

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
    // ANCHOR: delayed
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delayed-retry-type".into(), AMQPValue::LongString("failed".into()));
    arguments.insert("x-delayed-retry-min".into(), AMQPValue::LongInt(PAUSE));
    arguments.insert("x-delayed-retry-max".into(), AMQPValue::LongInt(10 * PAUSE));
    channel.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), arguments).await?;
    // ANCHOR_END: delayed
    println!("{QUEUE}: pauses of {PAUSE} ms times the failures");

    let options = BasicPublishOptions::default();
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, b"order 1", lasting).await?.await
    };
    timeout(LIMIT, confirm).await.context("no confirm within 20 s")??;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    let mut given_back: Option<Instant> = None;
    for attempt in 1..=3 {
        let order = timeout(LIMIT, orders.next()).await.context("no order within 20 s")?;
        let order = order.context("the consumer was cancelled")??;
        if let Some(given_back) = given_back {
            let least = Duration::from_millis((PAUSE * (attempt - 1)) as u64);
            let kept = if given_back.elapsed() >= least { "kept" } else { "not kept" };
            println!("attempt {attempt}: a pause of {} ms was {kept}", least.as_millis());
        } else {
            println!("attempt {attempt}: at once");
        }
        if attempt == 3 {
            order.ack(BasicAckOptions::default()).await?;
        } else {
            given_back = Some(Instant::now());
            order.reject(BasicRejectOptions { requeue: true }).await?;
        }
    }
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
