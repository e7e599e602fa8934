//! Retries with a growing pause: a waiting queue for each, whose messages expire back to work.
//!
//! Guarantee: at least once. A message is acknowledged when its copy in the next queue is confirmed,
//! and quorum queues keep what expires, or kills its workers too often, until the next one has it.
//!
//! Run: `cargo run --example rabbitmq_retry`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
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
    setup(&channel).await?;
    for order in ["order 1", "order 2", "order 3"] {
        publish(&channel, WORK, order.as_bytes(), 1).await?;
    }
    println!("three orders; order 2 fails twice, order 3 always");
    let mut orders = consumer(&channel, WORK).await?;
    let mut left = 3;
    while left > 0 {
        left -= bill_or_move(&channel, &next(&mut orders).await?).await?;
    }
    let dead = next(&mut consumer(&channel, DEAD).await?).await?;
    println!("in {DEAD}: {}", String::from_utf8_lossy(&dead.data));
    clean_up(&channel).await?;
    Ok(connection.close(200, "done".into()).await?)
}

async fn setup(channel: &Channel) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    // ANCHOR: retry
    // What expires in a waiting queue goes back to the work; what kills its worker is set aside.
    for (queue, pause, next) in [
        (DEAD, None, None),
        (WORK, None, Some(DEAD)),
        (WAITING[0].0, Some(WAITING[0].1), Some(WORK)),
        (WAITING[1].0, Some(WAITING[1].1), Some(WORK)),
    ] {
        let mut arguments = FieldTable::default();
        let mut set = |name: &str, value| _ = arguments.insert(name.into(), value);
        let text = |value: &str| AMQPValue::LongString(value.into());
        set("x-queue-type", text("quorum"));
        if let Some(pause) = pause {
            set("x-message-ttl", AMQPValue::LongInt(pause)); // nobody reads a waiting queue
        }
        if let Some(next) = next {
            set("x-dead-letter-exchange", text("")); // by the name of the queue
            set("x-dead-letter-routing-key", text(next));
            set("x-dead-letter-strategy", text("at-least-once"));
            set("x-overflow", text("reject-publish")); // as that strategy wants
        }
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
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
    ensure!(order.ack(BasicAckOptions::default()).await?, "{name} was not acknowledged");
    Ok(settled) // billed, or the copy is confirmed
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
        Some(AMQPValue::LongUInt(attempt)) if *attempt > 0 => Ok(*attempt),
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
    let confirmed = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    ensure!(confirmed == Confirmation::Ack(None), "no queue took an order");
    Ok(())
}

async fn consumer(channel: &Channel, queue: &str) -> Result<Consumer> {
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?)
}

async fn next(orders: &mut Consumer) -> Result<Delivery> {
    let order = timeout(LIMIT, orders.next()).await.context("no order within 10 s")?;
    Ok(order.context("the consumer was cancelled")??)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [WORK, DEAD, WAITING[0].0, WAITING[1].0] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
