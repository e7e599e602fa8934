//! A bridge from Kafka to RabbitMQ that loses nothing: it commits an offset after the confirm.
//!
//! Guarantee: at least once, in order within a partition; a record without an id is set aside. Holds
//! because the commit comes after the confirm of a quorum queue. A repeat has the same message id.
//!
//! Run: `cargo run --example kafka_bridge`

use std::{env, pin::pin, process, process::Stdio, time::Duration, time::Instant};

use anyhow::{Context, Error, Result, bail, ensure};
use lapin::options::{BasicGetOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, error::RDKafkaErrorCode as Code, util::Timeout};
use tokio::{process::Command, select, signal, task::block_in_place, time::sleep, time::timeout};

const TOPICS: [&str; 2] = ["kafka-bridge.orders", "kafka-bridge.refused"];
const GROUPS: [&str; 1] = ["kafka-bridge.to-rabbitmq"];
const QUEUE: &str = "kafka-bridge.jobs";
const START: &str = "to start one: docker compose up -d --wait, or cargo run --bin sandbox -- up";
const LIMIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    let admin: AdminClient<_> = config.create()?;
    let reached = admin.inner().fetch_metadata(None, Duration::from_secs(5)); // blocks; it is alone
    reached.with_context(|| format!("cannot use Kafka at {brokers}; {START}"))?;
    let uri = env::var("AMQP_URL").unwrap_or("amqp://localhost:5672/%2f".to_owned());
    let uri: lapin::uri::AMQPUri =
        uri.parse().map_err(Error::msg).context("AMQP_URL is no AMQP address")?;
    let tried = format!("cannot use RabbitMQ at {}:{}", uri.authority.host, uri.authority.port);
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default()); // could hang
    let connected = timeout(Duration::from_secs(5), connecting).await.map_err(Error::from);
    let connection = connected.and_then(|c| Ok(c?)).with_context(|| format!("{tried}; {START}"))?;
    let jobs = connection.create_channel().await?;
    jobs.confirm_select(Default::default()).await?;
    if env::args().nth(1).is_some() {
        return bridge(&config, &jobs, Some(2)).await; // started below, to die
    }
    let (options, started) = (AdminOptions::new(), Instant::now());
    while let Err(error) = checked(admin.delete_groups(&GROUPS, &options).await?) {
        ensure!(started.elapsed() < LIMIT, "{error:#}");
        sleep(Duration::from_millis(500)).await; // until its last member is missed
    }
    checked(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    jobs.queue_delete(QUEUE.into(), Default::default()).await?;
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 2, TopicReplication::Fixed(1)));
    checked(admin.create_topics(&topics, &options).await?)?;
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    jobs.queue_declare(QUEUE.into(), QueueDeclareOptions::durable(), quorum).await?;
    let shown = timeout(LIMIT, show(&config, &jobs)).await;
    let groups = admin.delete_groups(&GROUPS, &options).await?;
    let topics = admin.delete_topics(&TOPICS, &options).await?;
    shown.context("not done within 30 s; is the connection blocked?")??; // would hold what follows
    jobs.queue_delete(QUEUE.into(), Default::default()).await?;
    let _ = connection.close(200, "done".into()).await; // a channel may be closing already
    checked(groups).and(checked(topics))
}

async fn show(config: &ClientConfig, jobs: &Channel) -> Result<()> {
    let producer: FutureProducer = config.create()?;
    for order in 17..=21 {
        let (text, id) = (format!("order {order}"), format!("event-{order}"));
        let key = if order == 21 { "no-id" } else { "event-id" };
        let headers = OwnedHeaders::new().insert(Header { key, value: Some(&id) });
        let record = FutureRecord::<str, _>::to(TOPICS[0]).payload(&text).headers(headers);
        producer.send(record.partition(order % 2), Timeout::Never).await.map_err(|(e, _)| e)?;
    }
    println!("in Kafka: 5 orders in 2 partitions, one of them without an id");
    println!("a bridge moves 2 and dies before its second commit; another one takes over");
    let mut first = Command::new(env::current_exe()?);
    let first = first.arg("dies").stderr(Stdio::inherit()).kill_on_drop(true).output().await?;
    ensure!(first.status.code().is_none(), "the first bridge ended by itself");
    print!("{}", String::from_utf8_lossy(&first.stdout));
    let mut moved = Vec::new();
    let received = async {
        while moved.len() < 5 {
            match jobs.basic_get(QUEUE.into(), BasicGetOptions { no_ack: true }).await? {
                Some(job) => moved.push(job.properties.message_id().clone()),
                None => sleep(Duration::from_millis(20)).await,
            }
        }
        Ok::<(), Error>(())
    };
    select! { ended = bridge(config, jobs, None) => ended?, all = received => all? }
    moved.sort();
    moved.dedup();
    moved.iter().flatten().for_each(|id| println!("in RabbitMQ: the job of {id}"));
    println!("jobs that came again, with the same id: {}", 5 - moved.len());
    Ok(())
}

// ANCHOR: bridge
/// Moves what is not committed, until it is told to stop. `dies_at`: the process is gone after that
/// confirm, before the commit. An error ends it; started anew it goes on with the same record.
async fn bridge(config: &ClientConfig, jobs: &Channel, dies_at: Option<usize>) -> Result<()> {
    let mut by_hand = config.clone();
    by_hand.set("group.id", GROUPS[0]).set("session.timeout.ms", "6000");
    by_hand.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    let consumer: StreamConsumer = by_hand.create()?;
    let producer: FutureProducer = config.clone().set("enable.idempotence", "true").create()?;
    consumer.subscribe(&TOPICS[..1])?;
    let (mut stop, mut moved) = (pin!(told_to_stop()), 0);
    loop {
        let record = select! {
            stopped = &mut stop => return stopped,
            received = consumer.recv() => received,
        };
        let Ok(record) = record.inspect_err(|error| eprintln!("{error}; it goes on")) else {
            continue; // the client connects again by itself
        };
        // The sender's id: an offset is used again when a leader lost what it had.
        let id = record.headers().and_then(|all| all.iter().find(|h| h.key == "event-id")?.value);
        let id = id.and_then(|id| str::from_utf8(id).ok());
        match (id, record.payload()) {
            (Some(id), Some(data)) => publish(jobs, id, data).await?,
            (_, data) => {
                println!("set aside, no id: {}", String::from_utf8_lossy(data.unwrap_or_default()));
                let aside = FutureRecord::<str, _>::to(TOPICS[1]).payload(data.unwrap_or_default());
                producer.send(aside, Timeout::Never).await.map_err(|(error, _)| error)?;
            }
        }
        moved += usize::from(id.is_some());
        if dies_at == Some(moved) {
            process::abort(); // gone, as by a kill: nothing is closed
        }
        let committed = block_in_place(|| consumer.commit_message(&record, CommitMode::Sync));
        committed.unwrap_or_else(|error| eprintln!("{error}: the record may come again"));
    }
}

/// Ends when RabbitMQ has the job: confirmed, and not returned.
async fn publish(jobs: &Channel, id: &str, data: &[u8]) -> Result<()> {
    let properties = BasicProperties::default().with_message_id(id.into());
    let mandatory = BasicPublishOptions { mandatory: true, ..Default::default() };
    let sent = jobs.basic_publish("".into(), QUEUE.into(), mandatory, data, properties);
    let confirmed = timeout(LIMIT, async { sent.await?.await }).await.context("no confirm")??;
    ensure!(confirmed == Confirmation::Ack(None), "no queue took {id}");
    Ok(())
}
// ANCHOR_END: bridge

async fn told_to_stop() -> Result<()> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    select! { pressed = signal::ctrl_c() => Ok(pressed?), _ = terminate.recv() => Ok(()) }
}

fn checked(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound]; // it never was
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("{name}: {code}"))
}
