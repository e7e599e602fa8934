//! Four rules of dead letters: only the head expires, a queue that expires takes its messages along,
//! twenty failures are forgiven, and a published x-death counts for nothing.
//!
//! Guarantee: none of its own; it shows what RabbitMQ does with its default settings.
//!
//! Run: `cargo run --example rabbitmq_dead_letter_rules`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, AMQPValue::LongString, FieldArray, FieldTable},
    uri::AMQPUri,
};
use tokio::time::{sleep, timeout};

const DEAD: &str = "rabbitmq-dead-letter-rules.dead";
const OFFERS: &str = "rabbitmq-dead-letter-rules.offers";
const SHORT: &str = "rabbitmq-dead-letter-rules.short-lived";
const ORDERS: &str = "rabbitmq-dead-letter-rules.orders";

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
    declare(&channel, DEAD, FieldTable::default()).await?;
    // ANCHOR: rules
    declare(&channel, OFFERS, letters_to_dead()).await?;
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let fleeting = lasting.clone().with_expiration("1".into()); // ms
    publish(&channel, OFFERS, "offer for good", lasting.clone()).await?;
    publish(&channel, OFFERS, "offer for 1 ms", fleeting).await?;
    sleep(Duration::from_millis(500)).await;
    println!("dead letters while an offer is before it: {}", ready(&channel, DEAD).await?);
    let mut offers = consumer(&channel, OFFERS).await?;
    ensure!(next(&mut offers).await?.ack(BasicAckOptions::default()).await?, "not acknowledged");
    let mut dead = consumer(&channel, DEAD).await?;
    let letter = next(&mut dead).await?;
    println!("the first is taken, and a dead letter is: {}", text(&letter));
    ensure!(letter.ack(BasicAckOptions::default()).await?, "not acknowledged");

    let mut expires = letters_to_dead();
    expires.insert("x-expires".into(), AMQPValue::LongInt(500)); // ms
    declare(&channel, SHORT, expires).await?;
    publish(&channel, SHORT, "gone with its queue", lasting.clone()).await?;
    sleep(Duration::from_secs(2)).await;
    let gone = ready(&connection.create_channel().await?, SHORT).await.is_err();
    println!("a queue with a message in it has expired: {gone}");

    let mut orders = letters_to_dead();
    orders.insert("x-queue-type".into(), LongString("quorum".into()));
    declare(&channel, ORDERS, orders).await?;
    let mut lie = FieldTable::default();
    lie.insert("count".into(), AMQPValue::LongLongInt(99));
    let mut headers = FieldTable::default();
    let deaths = FieldArray::from(vec![AMQPValue::FieldTable(lie)]);
    headers.insert("x-death".into(), AMQPValue::FieldArray(deaths));
    publish(&channel, ORDERS, "order 1", lasting.clone().with_headers(headers)).await?;
    publish(&channel, ORDERS, "order 2", lasting).await?; // comes when order 1 is dead
    let mut orders = consumer(&channel, ORDERS).await?;
    let (mut deliveries, mut order) = (0, next(&mut orders).await?);
    while text(&order) == "order 1" {
        deliveries += 1;
        ensure!(order.reject(BasicRejectOptions { requeue: true }).await?, "not rejected");
        order = next(&mut orders).await?;
    }
    println!("with the default limit order 1 was delivered {deliveries} times");
    let letter = next(&mut dead).await?;
    let headers = letter.properties.headers().as_ref().context("no headers")?;
    let deaths = headers.inner().get("x-death").and_then(AMQPValue::as_array);
    let deaths = deaths.context("no x-death")?.as_slice();
    let death = deaths.first().and_then(AMQPValue::as_field_table).context("no entry")?;
    let count = death.inner().get("count").and_then(AMQPValue::as_long_long_int);
    println!("the next dead letter: {}, {} death, count {count:?}", text(&letter), deaths.len());
    // ANCHOR_END: rules
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

fn letters_to_dead() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-dead-letter-exchange".into(), LongString("".into()));
    arguments.insert("x-dead-letter-routing-key".into(), LongString(DEAD.into()));
    arguments
}

fn text(message: &Delivery) -> String {
    String::from_utf8_lossy(&message.data).into_owned()
}

async fn declare(channel: &Channel, queue: &str, arguments: FieldTable) -> Result<()> {
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
    Ok(())
}

async fn ready(channel: &Channel, queue: &str) -> Result<u32> {
    let passive = QueueDeclareOptions::default().passive();
    Ok(channel.queue_declare(queue.into(), passive, FieldTable::default()).await?.message_count())
}

async fn publish(channel: &Channel, to: &str, text: &str, set: BasicProperties) -> Result<()> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let data = text.as_bytes();
    let confirm =
        async { channel.basic_publish("".into(), to.into(), options, data, set).await?.await };
    let answer = timeout(Duration::from_secs(10), confirm).await.context("no confirm")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned {text:?}");
    Ok(())
}

async fn consumer(channel: &Channel, queue: &str) -> Result<Consumer> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?)
}

async fn next(messages: &mut Consumer) -> Result<Delivery> {
    let next = timeout(Duration::from_secs(10), messages.next()).await;
    Ok(next.context("no message within 10 s")?.context("the consumer was cancelled")??)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [DEAD, OFFERS, SHORT, ORDERS] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
