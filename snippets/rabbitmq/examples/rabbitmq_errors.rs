//! The errors that close a channel, word for word, and the ones that close the connection.
//!
//! Guarantee: a soft error closes its channel only, a hard one the whole connection. Neither channel
//! comes back: open a new one.
//!
//! Run: `cargo run --example rabbitmq_errors`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-errors.orders";
const TRANSIENT: &str = "rabbitmq-errors.transient";
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
    let durable = QueueDeclareOptions::durable;
    channel.queue_declare(QUEUE.into(), durable(), FieldTable::default()).await?;
    let open = || connection.create_channel();

    // ANCHOR: soft
    let c = open().await?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    report(
        "declare it again as a quorum queue",
        c.queue_declare(QUEUE.into(), durable(), quorum).await,
    );

    let c = open().await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let consumed =
        c.basic_consume("rabbitmq-errors.gone".into(), tag, options, FieldTable::default());
    report("consume from a queue that does not exist", consumed.await);

    let c = open().await?;
    let transient = QueueDeclareOptions::default(); // neither durable nor exclusive
    let name = TRANSIENT.into();
    report(
        "declare a transient queue",
        c.queue_declare(name, transient, FieldTable::default()).await,
    );

    let c = open().await?;
    let global = BasicQosOptions { global: true };
    report("prefetch for the whole channel", c.basic_qos(1, global).await);

    let c = open().await?;
    let (kind, options) = (ExchangeKind::Direct, ExchangeDeclareOptions::default());
    let declared = c.exchange_declare("amq.mine".into(), kind, options, FieldTable::default());
    report("declare an exchange named amq.*", declared.await);

    let c = open().await?;
    let (key, options) = ("a.#.b.#.c.#".into(), QueueBindOptions::default());
    let bound = c.queue_bind(QUEUE.into(), "amq.topic".into(), key, options, FieldTable::default());
    report("bind with three #", bound.await);

    let c = open().await?;
    publish(&c, b"an order").await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders = c.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    let order = timeout(LIMIT, orders.next()).await.context("no order")?.context("cancelled")??;
    c.basic_ack(order.delivery_tag, BasicAckOptions::default()).await?;
    c.basic_ack(order.delivery_tag, BasicAckOptions::default()).await?;
    let next = timeout(LIMIT, orders.next()).await.context("no error")?.context("cancelled")?;
    report("acknowledge twice", next);
    // ANCHOR_END: soft

    let c = open().await?;
    report("a message of 17 MiB", publish(&c, &vec![0; 17 << 20]).await);

    println!("connect");
    let mut wrong = uri.clone();
    wrong.authority.userinfo.password = "wrong".to_owned();
    report("with a wrong password", connect(wrong).await);
    let mut nowhere = uri.clone();
    nowhere.vhost = "rabbitmq-errors".to_owned();
    report("to a virtual host that does not exist", connect(nowhere).await);
    let mut small = uri;
    small.query.frame_max = Some(4096);
    report("with frames of 4096 bytes at most", connect(small).await);

    println!("the first channel is open: {}", channel.status().connected());
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

fn report<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) {
    match result {
        Ok(_) => println!("{what}: accepted"),
        Err(error) => println!("{what}:\n  {error}"),
    }
}

async fn connect(uri: AMQPUri) -> Result<Connection> {
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    Ok(timeout(LIMIT, connecting).await.context("no answer within 10 s")??)
}

async fn publish(channel: &Channel, data: &[u8]) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let confirm = async {
        channel.basic_publish("".into(), QUEUE.into(), options, data, properties).await?.await
    };
    timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [QUEUE, TRANSIENT] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
