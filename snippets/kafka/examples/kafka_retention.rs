//! Kafka deletes what is older than the retention, a whole segment at a time.
//!
//! Guarantee: a record stays at least as long as `retention.ms` says, by its own timestamp. It goes
//! when all of its segment is older and the broker looks next, every 5 minutes by default.
//!
//! Run: `cargo run --example kafka_retention`

use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

const TOPIC: &str = "kafka-retention.log-lines";
const RETENTION: &str = "86400000"; // one day in ms
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, 2, TopicReplication::Fixed(1)).set("retention.ms", RETENTION);
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = remove_topic(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config.clone().set("message.timeout.ms", "10000").create()?;
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "kafka-retention.audit") // never joins: it assigns itself
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .create()?;
    println!("{TOPIC}: retention one day");

    // ANCHOR: retention
    write(&producer, 1, &[0, 2, 2, 2]).await?;
    write(&producer, 0, &[2, 2, 2]).await?;
    wait_for_start(&consumer, 3)?;
    println!("partition 0, three lines of 2 days ago: starts at offset 3");

    // By the time that these are gone, the broker has looked at both partitions.
    write(&producer, 0, &[2]).await?;
    wait_for_start(&consumer, 4)?;
    let start = start(&consumer, 1)?;
    println!("partition 1, the same and one of today: starts at offset {start}");
    // ANCHOR_END: retention

    write(&producer, 0, &[0]).await?;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition_offset(TOPIC, 0, Offset::Offset(0))?;
    consumer.assign(&wanted)?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(line) = consumer.poll(Duration::from_secs(1)) {
            println!("a consumer that wants offset 0 gets offset {}", line?.offset());
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no line within 30 s");
    }
}

/// Writes a line for each age in days.
async fn write(producer: &FutureProducer, partition: i32, ages: &[u32]) -> Result<()> {
    for age in ages {
        let time = SystemTime::now().duration_since(UNIX_EPOCH)? - DAY * *age;
        let line = format!("{age} days old");
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC)
            .partition(partition)
            .timestamp(time.as_millis().try_into()?)
            .payload(&line);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    Ok(())
}

/// The first offset that is still there.
fn start(consumer: &BaseConsumer, partition: i32) -> Result<i64> {
    Ok(consumer.fetch_watermarks(TOPIC, partition, Duration::from_secs(5))?.0)
}

/// Waits until partition 0 starts at `offset`.
fn wait_for_start(consumer: &BaseConsumer, offset: i64) -> Result<()> {
    eprintln!("waiting for the broker to look, which it does every 5 minutes by default");
    let deadline = Instant::now() + Duration::from_secs(6 * 60);
    while start(consumer, 0)? != offset {
        ensure!(Instant::now() < deadline, "nothing was deleted within 6 minutes");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
