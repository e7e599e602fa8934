//! A RabbitMQ node that is killed and comes back with its data: what was confirmed before. The page
//! cache survives: nothing here says anything about a power failure.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, future::ready};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Event, PublisherConfirm,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use sandbox::{Broker, machine::scaled};
use tests::{brokers::Brokers, crash::survives};
use tokio::time::{Instant, sleep, timeout};

const MESSAGES: usize = 100;
const LIMIT: Duration = Duration::from_secs(30);
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// Publishes with confirms, kills the node, and counts what the queue still gives.
async fn kept(kind: &str, delivery_mode: u8) -> Result<usize> {
    let mut brokers = Brokers::start_these(&[Broker::RabbitMq])?;
    let uri = brokers.variable("AMQP_URL")?.to_owned();
    let channel = open(&uri).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare("restart".into(), options, arguments)
        .await?;
    if kind != "classic" {
        // Measured: what is killed within a second or two of its declaration loses its messages, a
        // stream even itself: "stream_not_found".
        sleep(Duration::from_secs(5)).await;
    }
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    for number in 0..MESSAGES {
        let confirm = publish(&channel, delivery_mode).await?;
        let answer = timeout(scaled(LIMIT), confirm)
            .await
            .context("no confirm within 30 s")??;
        ensure!(answer.is_ack(), "message {number} was refused");
    }
    tokio::task::block_in_place(|| brokers.crash(Broker::RabbitMq))?;
    // A stream has no leader for a moment: an error is asked about again.
    let deadline = Instant::now() + scaled(LIMIT);
    loop {
        match count(&open(&uri).await?, kind).await {
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => sleep(Duration::from_millis(500)).await,
            counted => return counted,
        }
    }
}

async fn publish(channel: &Channel, delivery_mode: u8) -> Result<PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(delivery_mode);
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), "restart".into(), options, b"", properties);
    Ok(published.await?)
}

async fn open(uri: &str) -> Result<Channel> {
    let connecting = Connection::connect(uri, ConnectionProperties::default());
    let connection = timeout(scaled(LIMIT), connecting)
        .await
        .context("no connection within 30 s")??;
    Ok(connection.create_channel().await?)
}

/// Takes messages until none has come for 3 s: only an absence is waited for by time.
async fn count(channel: &Channel, kind: &str) -> Result<usize> {
    channel.basic_qos(50, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    if kind == "stream" {
        arguments.insert(
            "x-stream-offset".into(),
            AMQPValue::LongString("first".into()),
        );
    }
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume("restart".into(), "".into(), options, arguments)
        .await?;
    let mut count = 0;
    while let Ok(Some(delivery)) = timeout(Duration::from_secs(3), consumer.next()).await {
        delivery?.ack(BasicAckOptions::default()).await?;
        count += 1;
    }
    Ok(count)
}

async fn keeps(kind: &str, delivery_mode: u8, expected: usize) -> Result<()> {
    let kept = kept(kind, delivery_mode).await?;
    ensure!(
        kept == expected,
        "{kept} of {MESSAGES} were kept by a {kind} queue"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_queue_keeps_persistent_messages_over_a_crash() -> Result<()> {
    keeps("classic", PERSISTENT, MESSAGES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_queue_forgets_transient_messages_in_a_crash() -> Result<()> {
    keeps("classic", TRANSIENT, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_queue_keeps_confirmed_messages_over_a_crash() -> Result<()> {
    keeps("quorum", TRANSIENT, MESSAGES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_keeps_confirmed_messages_over_a_crash() -> Result<()> {
    keeps("stream", TRANSIENT, MESSAGES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_by_hand_survives_a_crash_of_its_node() -> Result<()> {
    let code = survives(Broker::RabbitMq, "rabbitmq_reconnect").await?;
    ensure!(code == Some(0), "it gave up");
    Ok(())
}

/// A memory alarm is raised by setting the limit to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_memory_alarm_blocks_a_publisher_without_an_error_until_it_ends() -> Result<()> {
    let brokers = Brokers::start_these(&[Broker::RabbitMq])?;
    let sandbox = brokers.sandbox();
    let sandbox = sandbox.context("only a broker of the tests' own may be alarmed")?;
    let connecting = Connection::connect(
        brokers.variable("AMQP_URL")?,
        ConnectionProperties::default(),
    );
    let connection = timeout(scaled(LIMIT), connecting)
        .await
        .context("no connection within 30 s")??;
    let events = connection
        .events_listener()
        .filter(|event| ready(!matches!(event, Event::Connected)));
    let mut events = Box::pin(events);
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare("restart".into(), options, FieldTable::default())
        .await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;

    sandbox.rabbitmqctl(&["set_vm_memory_high_watermark", "0"])?;
    let deadline = Instant::now() + scaled(LIMIT);
    let mut published = 1; // the one whose writing does not end
    // A connection is blocked when it publishes. From then on even writing a message does not end.
    while let Ok(written) = timeout(Duration::from_secs(3), publish(&channel, PERSISTENT)).await {
        written?;
        published += 1;
        ensure!(Instant::now() < deadline, "not blocked within 30 s");
        sleep(Duration::from_millis(50)).await;
    }
    let event = timeout(scaled(LIMIT), events.next())
        .await
        .context("no event within 30 s")?;
    ensure!(
        matches!(&event, Some(Event::ConnectionBlocked(reason)) if reason == "low on memory"),
        "{event:?}"
    );
    ensure!(connection.status().blocked() && connection.status().connected());

    sandbox.rabbitmqctl(&["set_vm_memory_high_watermark", "0.6"])?;
    let event = timeout(scaled(LIMIT), events.next())
        .await
        .context("no event within 30 s")?;
    ensure!(
        matches!(event, Some(Event::ConnectionUnblocked)),
        "{event:?}"
    );
    let written = timeout(scaled(LIMIT), publish(&channel, PERSISTENT)).await;
    let confirm = written.context("not written within 30 s of the alarm's end")??;
    let answer = timeout(scaled(LIMIT), confirm)
        .await
        .context("no confirm within 30 s of the alarm's end")??;
    ensure!(answer.is_ack(), "refused");
    published += 1;
    let arrived = count(&channel, "classic").await?;
    ensure!(
        arrived == published,
        "{arrived} of {published}: what was given up is sent when the alarm ends"
    );
    Ok(())
}
