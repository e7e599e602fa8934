//! An idempotent consumer: the message's id and the work it asks for, in one transaction.
//!
//! Guarantee: each payment is booked once, however often it is sent or delivered. Holds because the
//! id is the primary key of a table beside the work, and the ack comes after the commit.
//!
//! Run: `cargo run --example rabbitmq_inbox`

use std::{env, path::Path, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use rusqlite::Connection as Database;
use tokio::time::timeout;

const QUEUE: &str = "rabbitmq-inbox.payments";
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

    channel.queue_delete(QUEUE.into(), Default::default()).await?; // left by a run that was cut off
    let lasting = QueueDeclareOptions::durable();
    channel.queue_declare(QUEUE.into(), lasting, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for (id, euros) in [("payment-1", "100"), ("payment-2", "50"), ("payment-2", "50")] {
        publish(&channel, id, euros).await?;
    }
    println!("sent: payment-1, payment-2, and payment-2 again");

    let folder = tempfile::Builder::new().prefix("rabbitmq-inbox-").tempdir()?;
    let file = folder.path().join("bank.sqlite");
    Database::open(&file)?.execute_batch(
        "CREATE TABLE inbox (message_id TEXT PRIMARY KEY);
         CREATE TABLE account (id INTEGER PRIMARY KEY, euros INTEGER);
         INSERT INTO account VALUES (1, 0);",
    )?;
    consume(&connection, &file, Some(1)).await?;
    println!("the consumer dies before its ack; another one takes over");
    consume(&connection, &file, None).await?;
    let balance = "SELECT euros FROM account WHERE id = 1";
    let euros: i64 = Database::open(&file)?.query_row(balance, (), |row| row.get(0))?;
    println!("in the account: {euros}");

    channel.queue_delete(QUEUE.into(), Default::default()).await?;
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: inbox
/// Books the three payments. `dies_after`: as a crash would end it, between commit and ack.
async fn consume(connection: &Connection, file: &Path, dies_after: Option<usize>) -> Result<()> {
    let mut database = Database::open(file).context("cannot open the database")?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = Default::default();
    let mut payments =
        channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?;
    for count in 1..=3 {
        let payment = timeout(LIMIT, payments.next()).await.context("no payment within 10 s")?;
        let payment = payment.context("the consumer was cancelled")??;
        let id = payment.properties.message_id().as_ref().context("no message id")?.to_string();
        let euros: i64 = String::from_utf8(payment.data.clone())?.parse()?;
        let new = book(&mut database, &id, euros)?;
        println!("{id}: {}", if new { "booked" } else { "seen before, left alone" });
        if dies_after == Some(count) {
            break;
        }
        payment.ack(BasicAckOptions::default()).await?;
    }
    Ok(channel.close(200, "done".into()).await?)
}

/// Notes the id and does the work, both or neither; false if the id was there.
fn book(database: &mut Database, id: &str, euros: i64) -> Result<bool> {
    let transaction = database.transaction()?;
    let noted = transaction.execute("INSERT OR IGNORE INTO inbox VALUES (?1)", [id])?;
    if noted == 0 {
        return Ok(false);
    }
    let booked =
        transaction.execute("UPDATE account SET euros = euros + ?1 WHERE id = 1", [euros])?;
    ensure!(booked == 1, "no account to book {id} to"); // or the id would be noted for nothing
    transaction.commit()?;
    Ok(true)
}
// ANCHOR_END: inbox

async fn publish(channel: &Channel, id: &str, euros: &str) -> Result<()> {
    let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(id.into());
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm = async {
        let data = euros.as_bytes();
        channel.basic_publish("".into(), QUEUE.into(), options, data, properties).await?.await
    };
    let confirmed = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    ensure!(confirmed == Confirmation::Ack(None), "no queue took {id}");
    Ok(())
}
