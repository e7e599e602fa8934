//! Retries with a growing pause: a waiting queue for each, whose messages expire back to work.
//!
//! Guarantee: at least once: a message is acknowledged only when its copy in the next queue is
//! confirmed. Attempts are counted in a header of our own, because RabbitMQ ignores a published
//! x-death since 4.0.
//!
//! Run: `cargo run --example rabbitmq_retry`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const WORK: &str = "rabbitmq-retry.orders";
const DEAD: &str = "rabbitmq-retry.dead";
/// One queue for each pause: a message expires at the head of its queue only.
const WAITING: [(&str, i32); 2] =
    [("rabbitmq-retry.wait-200", 200), ("rabbitmq-retry.wait-400", 400)];

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
    setup(&channel).await?;
    for order in ["order 1", "order 2", "order 3"] {
        publish(&channel, WORK, order.as_bytes(), 1).await?;
    }
    println!("three orders; order 2 fails twice, order 3 always");
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(WORK.into(), tag, options, FieldTable::default()).await?;
    let mut left = 3;
    while left > 0 {
        let order = timeout(Duration::from_secs(10), orders.next()).await.context("no order")?;
        let order = order.context("the consumer was cancelled")??;
        left -= bill_or_move(&channel, &order).await?;
    }
    let dead = channel.basic_get(DEAD.into(), BasicGetOptions::default()).await?;
    let dead = dead.context("nothing is in the dead-letter queue")?;
    println!("in {DEAD}: {}", String::from_utf8_lossy(&dead.data));
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

async fn setup(channel: &Channel) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = QueueDeclareOptions::durable;
    for queue in [WORK, DEAD] {
        channel.queue_declare(queue.into(), durable(), FieldTable::default()).await?;
    }
    // ANCHOR: retry
    for (queue, pause) in WAITING {
        let mut arguments = FieldTable::default();
        arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(pause));
        // Nobody reads a waiting queue: what expires goes back to the work.
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString("".into()));
        arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(WORK.into()));
        channel.queue_declare(queue.into(), durable(), arguments).await?;
    }
    Ok(())
}

/// Bills an order or moves it on. Returns how many are settled by that.
async fn bill_or_move(channel: &Channel, order: &Delivery) -> Result<usize> {
    let (name, attempt) = (String::from_utf8_lossy(&order.data), attempt(order)?);
    let settled = match bill(&name, attempt) {
        Ok(()) => {
            println!("{name}: billed, attempt {attempt}");
            1
        }
        Err(error) => {
            println!("{name}: {error}, attempt {attempt}");
            let next = WAITING.get(attempt as usize - 1).map(|(queue, _)| *queue);
            publish(channel, next.unwrap_or(DEAD), &order.data, attempt + 1).await?;
            usize::from(next.is_none())
        }
    };
    order.ack(BasicAckOptions::default()).await?; // billed, or the copy is confirmed
    Ok(settled)
}
// ANCHOR_END: retry

fn bill(order: &str, attempt: u32) -> Result<()> {
    match order {
        "order 2" if attempt < 3 => bail!("provider busy"),
        "order 3" => bail!("card declined"),
        _ => Ok(()),
    }
}

fn attempt(order: &Delivery) -> Result<u32> {
    let headers = order.properties.headers().as_ref().context("no headers")?;
    match headers.inner().get("attempt") {
        Some(AMQPValue::LongUInt(attempt)) => Ok(*attempt),
        other => bail!("the header `attempt` is {other:?}"),
    }
}

async fn publish(channel: &Channel, queue: &str, data: &[u8], attempt: u32) -> Result<()> {
    let mut headers = FieldTable::default();
    headers.insert("attempt".into(), AMQPValue::LongUInt(attempt));
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm = async {
        channel.basic_publish("".into(), queue.into(), options, data, properties).await?.await
    };
    let confirmed = timeout(Duration::from_secs(10), confirm).await.context("no confirm")??;
    ensure!(confirmed == Confirmation::Ack(None), "no queue took an order");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [WORK, DEAD, WAITING[0].0, WAITING[1].0] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
