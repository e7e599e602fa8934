//! Queues that go by themselves: with their connection, with their last consumer, when unused.
//!
//! Guarantee: none for what is in them: messages go with the queue, and no dead-letter exchange gets
//! them.
//!
//! Run: `cargo run --example rabbitmq_temporary_queues`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use lapin::{
    Channel, Connection, ConnectionProperties, ErrorKind,
    options::{BasicCancelOptions, BasicConsumeOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::{Instant, sleep, timeout};

const QUEUES: [&str; 4] = [
    "rabbitmq-temporary-queues.exclusive",
    "rabbitmq-temporary-queues.auto-delete",
    "rabbitmq-temporary-queues.auto-delete-unused",
    "rabbitmq-temporary-queues.expires",
];
const QUORUM: &str = "rabbitmq-temporary-queues.quorum";
const LIMIT: Duration = Duration::from_secs(30);

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
    let [exclusive, auto_delete, unused, expires] = QUEUES;
    // ANCHOR: declare
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    let other = timeout(LIMIT, connecting).await.context("no connection within 30 s")??;
    let theirs = other.create_channel().await?;
    let owned = QueueDeclareOptions::exclusive();
    theirs.queue_declare(exclusive.into(), owned, FieldTable::default()).await?;

    let with_consumer = QueueDeclareOptions::durable().auto_delete();
    for queue in [auto_delete, unused] {
        channel.queue_declare(queue.into(), with_consumer, FieldTable::default()).await?;
    }

    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(100)); // milliseconds without use
    channel.queue_declare(expires.into(), QueueDeclareOptions::durable(), arguments).await?;
    // ANCHOR_END: declare

    other.close(200, "done".into()).await?;
    println!("its connection closes: {exclusive} {}", gone(&connection, exclusive).await?);
    let (tag, options) = ("reader".into(), BasicConsumeOptions::default());
    channel.basic_consume(auto_delete.into(), tag, options, FieldTable::default()).await?;
    channel.basic_cancel("reader".into(), BasicCancelOptions::default()).await?;
    println!("its only consumer leaves: {auto_delete} {}", gone(&connection, auto_delete).await?);
    println!("nobody uses it: {expires} {}", gone(&connection, expires).await?);
    let kept = if exists(&connection, unused).await? { "is still there" } else { "is gone" };
    println!("never had a consumer: {unused} {kept}");
    for (property, options) in [
        ("exclusive", QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::durable() }),
        ("auto-delete", QueueDeclareOptions::durable().auto_delete()),
    ] {
        let asking = connection.create_channel().await?;
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        match asking.queue_declare(QUORUM.into(), options, quorum).await {
            Ok(_) => println!("a quorum queue, {property}: accepted"),
            Err(error) => println!("a quorum queue, {property}:\n  {error}"),
        }
    }
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Waits until a queue is gone.
async fn gone(connection: &Connection, queue: &str) -> Result<&'static str> {
    let deadline = Instant::now() + LIMIT;
    while exists(connection, queue).await? {
        ensure!(Instant::now() < deadline, "{queue} is there after 30 s");
        sleep(Duration::from_millis(500)).await; // to ask is to use: it would never expire
    }
    Ok("is gone")
}

async fn exists(connection: &Connection, queue: &str) -> Result<bool> {
    let asking = connection.create_channel().await?; // an answer of NOT_FOUND closes it
    let passive = QueueDeclareOptions::default().passive();
    match asking.queue_declare(queue.into(), passive, FieldTable::default()).await {
        Ok(_) => {
            asking.close(200, "done".into()).await?;
            Ok(true)
        }
        Err(error) => match error.kind() {
            // By the code that lapin decoded, not by the words of the broker, which change.
            ErrorKind::ProtocolError(told)
                if matches!(told.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND)) =>
            {
                Ok(false)
            }
            _ => Err(error.into()),
        },
    }
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in QUEUES.into_iter().chain([QUORUM]) {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
