//! A request and its reply, matched by a correlation id, with a deadline for the answer.
//!
//! Guarantee: at most once: a reply can be lost, and then the deadline ends the wait. The caller does
//! not know whether the work was done. Holds for direct reply-to, which keeps no reply for later.
//!
//! Run: `cargo run --example rabbitmq_rpc`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions},
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::{Instant, timeout, timeout_at};

const QUEUE: &str = "rabbitmq-rpc.prices";
/// Not a queue: RabbitMQ sends what is published to it straight to the consumer that asked.
const REPLIES: &str = "amq.rabbitmq.reply-to";

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
    channel
        .queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), FieldTable::default())
        .await?;
    let served = connection.create_channel().await?;
    let server = tokio::spawn(serve(served));

    // ANCHOR: call
    let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    // The same channel must consume the replies and publish the requests.
    let tag = "".into();
    let mut replies =
        channel.basic_consume(REPLIES.into(), tag, no_ack, FieldTable::default()).await?;
    for (id, article) in [("1", "tea"), ("2", "coffee"), ("3", "poison")] {
        match call(&channel, &mut replies, id, article, Duration::from_secs(2)).await {
            Ok(price) => println!("{article}: {price}"),
            Err(error) => println!("{article}: {error}"),
        }
    }
    // ANCHOR_END: call
    match server.await? {
        Err(error) => println!("the server: {error}"),
        Ok(()) => bail!("the server should have died"),
    }
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Sends a request and waits for the reply with its id.
async fn call(
    channel: &Channel,
    replies: &mut Consumer,
    id: &str,
    article: &str,
    limit: Duration,
) -> Result<String> {
    let properties = BasicProperties::default()
        .with_reply_to(REPLIES.into())
        .with_correlation_id(id.into())
        .with_expiration(limit.as_millis().to_string().into()); // nobody wants it later
    let (options, data) = (BasicPublishOptions::default(), article.as_bytes());
    let deadline = Instant::now() + limit;
    let asked = channel.basic_publish("".into(), QUEUE.into(), options, data, properties);
    timeout_at(deadline, asked).await.context("the request was not written")??;
    loop {
        let reply = timeout_at(deadline, replies.next()).await;
        let reply = reply.with_context(|| format!("no reply within {} s", limit.as_secs()))?;
        let reply = reply.context("the consumer was cancelled")??;
        // A reply to an earlier request can come late: it has another id.
        if reply.properties.correlation_id().as_ref().is_some_and(|other| other.as_str() == id) {
            return Ok(String::from_utf8_lossy(&reply.data).into_owned());
        }
    }
}

/// Answers requests until one of them kills it.
async fn serve(channel: Channel) -> Result<()> {
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut requests =
        channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    loop {
        let request = timeout(Duration::from_secs(30), requests.next()).await;
        let request = request.context("no request")?.context("the consumer was cancelled")??;
        let price = match request.data.as_slice() {
            b"tea" => "3 euros",
            b"coffee" => "4 euros",
            _ => bail!("dies while it works on a request"),
        };
        let reply_to = request.properties.reply_to().clone().context("nobody to reply to")?;
        let id = request.properties.correlation_id().clone().context("no correlation id")?;
        let properties = BasicProperties::default().with_correlation_id(id);
        let options = BasicPublishOptions::default();
        let data = price.as_bytes();
        let sent = channel.basic_publish("".into(), reply_to, options, data, properties);
        timeout(Duration::from_secs(10), sent).await.context("the reply was not written")??;
        request.ack(BasicAckOptions::default()).await?;
    }
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
