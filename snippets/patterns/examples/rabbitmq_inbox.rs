//! An idempotent consumer: the message's id and the work it asks for, in one transaction.
//!
//! Guarantee: each payment is booked once, however often it comes; one that can't be is set aside. Holds
//! because the id is the primary key of a table beside the work, and the ack comes after the commit.
//!
//! Run: `cargo run --example rabbitmq_inbox`

use std::{env, path::Path, pin::pin, process, process::Stdio, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicPublishOptions, BasicRejectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use rusqlite::{Connection as Database, OptionalExtension};
use tokio::signal::{ctrl_c, unix};
use tokio::time::{sleep, timeout};
use tokio::{process::Command, select, task::block_in_place};

const QUEUES: [&str; 2] = ["rabbitmq-inbox.payments", "rabbitmq-inbox.refused"];
const START: &str = "; to start one: docker compose up -d --wait, or cargo run --bin sandbox -- up";
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let uri = env::var("AMQP_URL").unwrap_or("amqp://localhost:5672/%2f".to_owned());
    let uri: AMQPUri = uri.parse().map_err(Error::msg).context("AMQP_URL is no AMQP address")?;
    let tried = format!("cannot use RabbitMQ at {}:{}", uri.authority.host, uri.authority.port);
    // A port that accepts and then says nothing would hold the handshake for ever.
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    let connected = timeout(Duration::from_secs(5), connecting).await;
    let connection = connected.map_err(Error::from).and_then(|c| Ok(c?)).context(tried + START)?;
    if let Some(file) = env::args_os().nth(1) {
        return consume(&connection, file.as_ref(), true).await; // started below, to die
    }
    let channel = connection.create_channel().await?;
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?; // of a run that was cut off
        let mut arguments = FieldTable::default();
        let refused = [("dead-letter-exchange", ""), ("dead-letter-routing-key", QUEUES[1])];
        let refused = refused.iter().filter(|_| queue == QUEUES[0]);
        for (key, value) in [("queue-type", "quorum")].iter().chain(refused) {
            arguments.insert(format!("x-{key}").into(), AMQPValue::LongString((*value).into()));
        }
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments).await?;
    }
    let shown = timeout(LIMIT, show(&connection, &channel)).await;
    for queue in QUEUES {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    let _ = connection.close(200, "done".into()).await; // a channel may be closing already
    shown.context("not done within 30 s; is the connection blocked?")?
}

async fn show(connection: &Connection, channel: &Channel) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("rabbitmq-inbox-").tempdir()?;
    let file = folder.path().join("bank.sqlite");
    let tables = "CREATE TABLE inbox (message_id TEXT PRIMARY KEY, euros INTEGER);
         CREATE TABLE account (booked INTEGER);";
    Database::open(&file)?.execute_batch(tables)?;
    channel.confirm_select(Default::default()).await?;
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let (good, bad) = (["pay-1 100", "pay-2 50", "pay-2 50"], ["pay-2 70", " 20", "pay-3 many"]);
    for (id, euros) in good.iter().chain(&bad).filter_map(|payment| payment.split_once(' ')) {
        let id = BasicProperties::default().with_message_id(id.into());
        let (queue, euros) = (QUEUES[0].into(), euros.as_bytes());
        let sent = channel.basic_publish("".into(), queue, mandatory, euros, id).await?.await?;
        ensure!(sent == Confirmation::Ack(None), "no queue took it");
    }
    println!("sent: pay-1, pay-2, pay-2 again, and {} that cannot be booked", bad.len());

    let mut first = Command::new(env::current_exe()?);
    let first = first.arg(&file).stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    ensure!(first.status.code().is_none(), "the first consumer ended by itself");
    print!("{}", String::from_utf8_lossy(&first.stdout));
    println!("the consumer dies before its ack; another one takes over");
    holds(channel, QUEUES[0], 6).await?; // what it had is back
    select! {
        consumed = consume(connection, &file, false) => consumed?,
        done = holds(channel, QUEUES[1], 3) => done?,
    }
    let balance = "SELECT sum(booked) FROM account";
    let euros: i64 = Database::open(&file)?.query_row(balance, (), |row| row.get(0))?;
    println!("in the account: {euros}");
    Ok(())
}

// ANCHOR: inbox
/// Books payments until it is told to stop. `dies`: the process is gone after its first commit.
async fn consume(connection: &Connection, file: &Path, dies: bool) -> Result<()> {
    let mut database = Database::open(file).context("cannot open the database")?;
    // By default SQLite can lose its last commit when the power goes: after the ack.
    database.pragma_update(None, "synchronous", "EXTRA")?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(1, Default::default()).await?;
    let (queue, options) = (QUEUES[0].into(), Default::default());
    let mut payments = channel.basic_consume(queue, "".into(), options, Default::default()).await?;
    let mut stop = pin!(told_to_stop());
    loop {
        let payment = select! {
            stopped = &mut stop => return stopped,
            payment = payments.next() => payment.context("the consumer was cancelled")??,
        };
        let (booked, what) = block_in_place(|| book(&mut database, &payment))?;
        println!("{what}");
        if dies {
            process::abort(); // gone, as by a kill: nothing is closed
        }
        let known = match booked {
            true => payment.ack(Default::default()).await?,
            false => payment.reject(BasicRejectOptions { requeue: false }).await?, // a dead letter
        };
        ensure!(known, "the answer to {what} did not go out");
    }
}

/// Notes the id and does the work, both or neither. False: it can never be booked.
fn book(database: &mut Database, payment: &Delivery) -> Result<(bool, String)> {
    let id = payment.properties.message_id().as_ref().map_or("", |id| id.as_str());
    let euros = str::from_utf8(&payment.data).ok().and_then(|text| text.parse::<i64>().ok());
    let (false, Some(euros)) = (id.is_empty(), euros) else {
        return Ok((false, format!("refused: no id or no amount: {id:?}, {euros:?}")));
    };
    let transaction = database.transaction()?;
    let noted = "SELECT euros FROM inbox WHERE message_id = ?1";
    match transaction.query_row(noted, [id], |row| row.get::<_, i64>(0)).optional()? {
        Some(same) if same == euros => return Ok((true, format!("{id}: seen before, left alone"))),
        Some(other) => return Ok((false, format!("refused: {id} is noted with {other} euros"))),
        None => transaction.execute("INSERT INTO inbox VALUES (?1, ?2)", (id, euros))?,
    };
    transaction.execute("INSERT INTO account VALUES (?1)", [euros])?; // the work
    transaction.commit()?;
    Ok((true, format!("{id}: booked")))
}
// ANCHOR_END: inbox

/// Ctrl-C, or a container's SIGTERM.
async fn told_to_stop() -> Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    select! { pressed = ctrl_c() => Ok(pressed?), _ = terminate.recv() => Ok(()) }
}

async fn holds(channel: &Channel, queue: &str, messages: u32) -> Result<()> {
    let look = QueueDeclareOptions { passive: true, ..Default::default() };
    loop {
        let seen = channel.queue_declare(queue.into(), look, Default::default()).await?;
        if seen.message_count() == messages {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
}
