//! Requests and their replies, many at a time, matched by correlation ids, each with a deadline.
//!
//! Guarantee: at most once: a reply can be lost, and then the deadline ends the wait. The caller does
//! not know whether the work was done. Holds for direct reply-to, which keeps no reply for later.
//!
//! Run: `cargo run --example rabbitmq_rpc`

use std::{collections::HashMap, env, sync::Arc, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::{
    sync::{Mutex, oneshot},
    time::{sleep, timeout},
};

const QUEUE: &str = "rabbitmq-rpc.prices";
/// Not a queue: RabbitMQ sends what is published to it straight to the consumer that asked.
const REPLIES: &str = "amq.rabbitmq.reply-to";
const MANDATORY: BasicPublishOptions = BasicPublishOptions { mandatory: true, immediate: false };

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
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    let server = tokio::spawn(serve(connection.create_channel().await?));
    let prices = Caller::new(connection.create_channel().await?).await?;
    let ask = async |id, article: &'static [u8]| {
        let answer = prices.call(id, article, Duration::from_secs(2)).await;
        let said = answer.unwrap_or_else(|error| error.to_string());
        println!("{}: {said}", article.escape_ascii());
    };
    ask("1", b"cofee\xff").await;
    println!("two requests at once; tea takes the server half a second");
    tokio::join!(ask("2", b"tea"), ask("3", b"coffee"));
    server.abort(); // its channel is closed with it
    println!("the server is gone");
    ask("4", b"coffee").await;
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: call
/// Who waits for a reply, by the id of the request.
type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Delivery>>>>;

struct Caller(Channel, Waiting);

impl Caller {
    async fn new(channel: Channel) -> Result<Self> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
        // The same channel must consume the replies and publish the requests.
        let replies = channel.basic_consume(REPLIES.into(), "".into(), no_ack, Default::default());
        let (mut replies, waiting) = (replies.await?, Waiting::default());
        let callers = waiting.clone();
        tokio::spawn(async move {
            while let Some(Ok(reply)) = replies.next().await {
                let id = reply.properties.correlation_id().clone().unwrap_or_default().to_string();
                // A reply that comes after its deadline finds nobody.
                callers.lock().await.remove(&id).map(|caller| caller.send(reply).is_ok());
            }
            callers.lock().await.clear(); // connection lost: nobody need wait for the deadline
        });
        Ok(Self(channel, waiting))
    }

    /// Asks, and waits for the reply. Two calls at a time must not have the same id.
    async fn call(&self, id: &str, request: &[u8], limit: Duration) -> Result<String> {
        let (sender, reply) = oneshot::channel();
        self.1.lock().await.insert(id.into(), sender);
        let properties = BasicProperties::default()
            .with_reply_to(REPLIES.into())
            .with_correlation_id(id.into())
            .with_expiration(limit.as_millis().to_string().into()); // nobody wants it later
        let answer = async {
            let key = QUEUE.into();
            let asked = self.0.basic_publish("".into(), key, MANDATORY, request, properties);
            ensure!(asked.await?.await? == Confirmation::Ack(None), "nobody serves {QUEUE}");
            reply.await.context("the connection is lost")
        };
        let answer = timeout(limit, answer).await;
        self.1.lock().await.remove(id);
        let reply = answer.with_context(|| format!("no reply within {} s", limit.as_secs()))??;
        let text = String::from_utf8_lossy(&reply.data).into_owned();
        ensure!(reply.properties.kind() != &Some("refusal".into()), text);
        Ok(text)
    }
}
// ANCHOR_END: call

async fn serve(channel: Channel) -> Result<()> {
    channel.basic_qos(10, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let requests = channel.basic_consume(QUEUE.into(), tag, options, FieldTable::default()).await?;
    requests.map_err(Error::from).try_for_each_concurrent(10, |r| answer(&channel, r)).await
}

async fn answer(channel: &Channel, request: Delivery) -> Result<()> {
    let price = price(&request.data).await;
    let (kind, text) = price.map_or_else(|text| ("refusal", text), |text| ("price", text));
    let (to, id) = (request.properties.reply_to(), request.properties.correlation_id());
    if let (Some(to), Some(id)) = (to.clone(), id.clone()) {
        let set = BasicProperties::default().with_correlation_id(id).with_type(kind.into());
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), to, options, text.as_bytes(), set).await?.await?;
    }
    let settled = match price {
        Ok(_) => request.ack(BasicAckOptions::default()).await?,
        // Given back it would come again, to this server or to the next, and fail again.
        Err(_) => request.reject(BasicRejectOptions { requeue: false }).await?,
    };
    settled.then_some(()).context("not settled: the channel is closed")
}

async fn price(article: &[u8]) -> Result<&'static str, &'static str> {
    match article {
        b"coffee" => Ok("4 euros"),
        b"tea" => {
            sleep(Duration::from_millis(500)).await;
            Ok("3 euros")
        }
        _ => Err("refused, there is no such article"),
    }
}

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
