//! A quorum queue that holds back what was given back by itself: which answer is paused, and how long.
//!
//! Guarantee: what is given back is not delivered again before its pause is over, if the type names
//! its answer. Holds on quorum queues of RabbitMQ 4.3 and later; an argument that is misspelt is
//! accepted, and then nothing is paused.
//!
//! Run: `cargo run --example rabbitmq_delayed_retry`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::{StreamExt, future::try_join_all};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions,
        BasicQosOptions, BasicRejectOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use tokio::time::{Instant, timeout};

const PAUSE: i32 = 1500; // ms
const LIMIT: Duration = Duration::from_secs(20);
/// Queue, type of delayed retry, whether there is a maximum, and the answer.
const TRIALS: [(&str, &str, bool, Answer); 7] = [
    ("rabbitmq-delayed-retry.failed-reject", "failed", true, Answer::Reject),
    ("rabbitmq-delayed-retry.failed-nack", "failed", true, Answer::Nack),
    ("rabbitmq-delayed-retry.returned-reject", "returned", true, Answer::Reject),
    ("rabbitmq-delayed-retry.returned-nack", "returned", true, Answer::Nack),
    ("rabbitmq-delayed-retry.all-nack", "all", true, Answer::Nack),
    ("rabbitmq-delayed-retry.no-max", "failed", false, Answer::Reject),
    ("rabbitmq-delayed-retry.misspelt", "fialed", true, Answer::Reject),
];

#[derive(Clone, Copy, Debug)]
enum Answer {
    Reject,
    Nack,
}

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
    println!("each order is given back twice; the queue's pause is {PAUSE} ms, times the failures");
    let connection = &connection;
    let trials = TRIALS.map(|trial| async move {
        let pauses = give_back_twice(&connection.create_channel().await?, trial).await?;
        let pauses = pauses.map(|pause| match pause.as_millis() as i32 / PAUSE {
            0 => "none".to_owned(),
            times => format!("{} ms", times * PAUSE),
        });
        Ok::<_, Error>((trial, pauses))
    });
    for ((_, kind, max, answer), [first, second]) in try_join_all(trials).await? {
        let max = if max { "" } else { ", no maximum" };
        println!("type {kind}{max}, {answer:?}: first pause {first}, second pause {second}");
    }
    clean_up(&channel).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

/// Gives an order back twice, and returns how long the queue kept it each time.
async fn give_back_twice(
    channel: &Channel,
    (queue, kind, max, answer): (&str, &str, bool, Answer),
) -> Result<[Duration; 2]> {
    // ANCHOR: delayed
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delayed-retry-type".into(), AMQPValue::LongString(kind.into()));
    arguments.insert("x-delayed-retry-min".into(), AMQPValue::LongInt(PAUSE));
    if max {
        arguments.insert("x-delayed-retry-max".into(), AMQPValue::LongInt(10 * PAUSE));
    }
    channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
    // ANCHOR_END: delayed
    publish(channel, queue).await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    let mut orders =
        channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?;
    let mut pauses = [Duration::ZERO; 2];
    let mut given_back = None::<Instant>;
    for attempt in 0..=pauses.len() {
        let order = timeout(LIMIT, orders.next()).await.context("no order within 20 s")?;
        let order = order.context("the consumer was cancelled")??;
        if let Some(given_back) = given_back {
            pauses[attempt - 1] = given_back.elapsed();
        }
        given_back = Some(Instant::now());
        let answered = match answer {
            _ if attempt == pauses.len() => order.ack(BasicAckOptions::default()).await?,
            Answer::Reject => order.reject(BasicRejectOptions { requeue: true }).await?,
            Answer::Nack => {
                order.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?
            }
        };
        ensure!(answered, "not answered: the channel is closed");
    }
    Ok(pauses)
}

async fn publish(channel: &Channel, queue: &str) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), queue.into(), options, b"order 1", lasting).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 20 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused or returned the order");
    Ok(())
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for (queue, ..) in TRIALS {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    Ok(())
}
