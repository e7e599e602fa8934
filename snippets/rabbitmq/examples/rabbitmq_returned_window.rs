//! With many confirms outstanding a returned message can come with the confirm of another message.
//!
//! Guarantee: of a window of mandatory messages all that have no queue come back, and each says by
//! its own id which one it is. The confirm that it comes with does not say it.
//!
//! Run: `cargo run --example rabbitmq_returned_window`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, bail, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
    uri::AMQPUri,
};
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-returned-window.orders";
const NOWHERE: &str = "rabbitmq-returned-window.no-queue";
const WINDOW: usize = 300;
const WINDOWS: usize = 300;
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
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = QueueDeclareOptions::durable();
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    println!("windows of {WINDOW} mandatory messages, every third without a queue");
    for _ in 0..WINDOWS {
        if another_came_back(&channel).await? {
            println!("in one of them a message came back with the confirm of another message");
            clean_up(&channel).await?;
            return Ok(connection.close(200, "done".into()).await?);
        }
    }
    bail!("in {WINDOWS} windows each came back with its own confirm");
}

// ANCHOR: window
async fn another_came_back(channel: &Channel) -> Result<bool> {
    let mut waiting = Vec::new();
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    for number in 0..WINDOW {
        let key = if number % 3 == 0 { NOWHERE } else { QUEUE };
        let id = BasicProperties::default().with_message_id(number.to_string().into());
        let published = channel.basic_publish("".into(), key.into(), mandatory, b"", id);
        waiting.push(timeout(LIMIT, published).await.context("not written within 10 s")??);
    }
    let (mut came_back, mut with_another) = (0, false);
    for (number, confirm) in waiting.into_iter().enumerate() {
        let confirmation = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
        ensure!(confirmation.is_ack(), "message {number} was refused");
        if let Some(returned) = confirmation.take_message() {
            let id = returned.delivery.properties.message_id().clone().context("no id")?;
            let id: usize = id.as_str().parse()?; // this one came back, and not message `number`
            ensure!(id.is_multiple_of(3), "message {id} has a queue");
            (came_back, with_another) = (came_back + 1, with_another || id != number);
        }
    }
    ensure!(came_back == WINDOW.div_ceil(3), "{came_back} messages came back");
    Ok(with_another)
}
// ANCHOR_END: window

async fn clean_up(channel: &Channel) -> Result<()> {
    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    Ok(())
}
