//! The errors that close a connection with all its channels, and those that prevent one.
//!
//! Guarantee: after a hard error nothing of its connection works any more: connect again, and don't
//! repeat the call that caused it.
//!
//! Run: `cargo run --example rabbitmq_errors_connection`

use std::{env, fmt::Display, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicConsumeOptions, BasicGetOptions, BasicQosOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::{Instant, sleep, timeout};

const STREAM: &str = "rabbitmq-errors-connection.history";
const TRANSIENT: &str = "rabbitmq-errors-connection.replies";
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
    let none = FieldTable::default;
    let mut stream = none();
    stream.insert("x-queue-type".into(), AMQPValue::LongString("stream".into()));
    channel.queue_declare(STREAM.into(), QueueDeclareOptions::durable(), stream).await?;

    // ANCHOR: hard
    let (own, [c, other]) = open(&uri).await?;
    let transient = QueueDeclareOptions::default(); // neither durable nor exclusive
    let declared = c.queue_declare(TRANSIENT.into(), transient, none()).await;
    report("declare a transient queue that is not exclusive", declared);
    closed(&own, &other).await?;

    let (own, [c, other]) = open(&uri).await?;
    c.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, no_ack) = ("".into(), BasicConsumeOptions { no_ack: true, ..Default::default() });
    let consumed = c.basic_consume(STREAM.into(), tag, no_ack, none()).await;
    report("consume from a stream without acknowledgements", consumed);
    closed(&own, &other).await?;

    let (own, [c, other]) = open(&uri).await?;
    let got = c.basic_get(STREAM.into(), BasicGetOptions::default()).await;
    report("basic.get from a stream", got);
    closed(&own, &other).await?;
    // ANCHOR_END: hard

    println!("connect");
    let mut wrong = uri.clone();
    wrong.authority.userinfo.password = "wrong".to_owned();
    report("with a wrong password", connect(wrong).await);
    let mut nowhere = uri.clone();
    nowhere.vhost = "rabbitmq-errors-connection".to_owned();
    report("to a virtual host that does not exist", connect(nowhere).await);
    let mut bare: AMQPUri = "amqp://localhost:5672/".parse().map_err(Error::msg)?;
    bare.authority = uri.authority.clone();
    report("with nothing after the slash", connect(bare).await);
    let mut small = uri;
    small.query.frame_max = Some(4096);
    report("with frames of 4096 bytes at most", connect(small).await);

    println!("the first connection is open: {}", connection.status().connected());
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// A connection of its own for each error, with two channels.
async fn open(uri: &AMQPUri) -> Result<(Connection, [Channel; 2])> {
    let connection = connect(uri.clone()).await?;
    let channels = [connection.create_channel().await?, connection.create_channel().await?];
    Ok((connection, channels))
}

/// Waits until the connection is closed, and shows what became of its other channel.
async fn closed(connection: &Connection, other: &Channel) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while connection.status().connected() || other.status().connected() {
        ensure!(Instant::now() < deadline, "the connection is open after 10 s");
        sleep(Duration::from_millis(5)).await;
    }
    println!("  its connection and the other channel are closed");
    Ok(())
}

/// Prints the first line of an error: the broker's advice follows it, and depends on its settings.
fn report<T, E: Display>(what: &str, result: Result<T, E>) {
    match result.map_err(|error| error.to_string()) {
        Ok(_) => println!("{what}: accepted"),
        Err(error) => println!("{what}:\n  {}", error.lines().next().unwrap_or_default()),
    }
}

async fn connect(uri: AMQPUri) -> Result<Connection> {
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    Ok(timeout(LIMIT, connecting).await.context("no answer within 10 s")??)
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [STREAM, TRANSIENT] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
