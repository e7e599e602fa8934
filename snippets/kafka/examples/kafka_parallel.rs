//! Works on several partitions at a time and keeps the order within each.
//!
//! Guarantee: at least once, and in order within a partition while the group does not rebalance.
//! Holds because each partition has one task, which stores an offset only after its work.
//!
//! Run: `cargo run --example kafka_parallel`

use std::{
    collections::{BTreeMap, HashMap},
    env,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::{
    sync::{Barrier, mpsc},
    task::JoinSet,
    time::timeout,
};

const TOPIC: &str = "kafka-parallel.orders";
const PARTITIONS: usize = 3;
const GROUPS: [&str; 1] = ["kafka-parallel.billing"];
const ORDERS: usize = 9;

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    remove_topic(&admin).await?; // left by a run that was cut off, with its group's offsets
    let topic = NewTopic::new(TOPIC, PARTITIONS as i32, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    place_orders(&config).await?;
    let consumed = consume(&config).await;
    let cleaned = clean_up(&admin).await;
    consumed.and(cleaned)
}

async fn consume(config: &ClientConfig) -> Result<()> {
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", GROUPS[0])
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.offset.store", "false") // a task stores an offset after its work
        .set("session.timeout.ms", "6000")
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    let consumer = Arc::new(consumer);

    // ANCHOR: parallel
    // Opens when every partition is being worked on: one after the other would never get through.
    let all_at_work = Arc::new(Barrier::new(PARTITIONS));
    let mut workers = JoinSet::new();
    let mut queues: HashMap<i32, mpsc::Sender<OwnedMessage>> = HashMap::new();
    for _ in 0..ORDERS {
        let received = timeout(Duration::from_secs(30), consumer.recv()).await;
        let order = received.context("no order within 30 s")??.detach();
        let queue = queues.entry(order.partition()).or_insert_with(|| {
            let (queue, orders) = mpsc::channel(100); // a full one holds up the others: see pause
            workers.spawn(work(consumer.clone(), orders, all_at_work.clone()));
            queue
        });
        queue.send(order).await.context("the worker has ended")?;
    }
    drop(queues); // each worker ends when its queue is empty
    // ANCHOR_END: parallel

    let mut billed = BTreeMap::new();
    while let Some(worker) = workers.join_next().await {
        let (partition, orders) = worker??;
        billed.insert(partition, orders);
    }
    println!("{} partitions were worked on at the same time", billed.len());
    for (partition, orders) in &billed {
        println!("partition {partition}: {orders:?}");
    }
    let committing = move || consumer.commit_consumer_state(CommitMode::Sync);
    match tokio::task::spawn_blocking(committing).await? {
        Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()), // done already
        Err(error) => Err(error.into()),
    }
}

async fn work(
    consumer: Arc<StreamConsumer>,
    mut orders: mpsc::Receiver<OwnedMessage>,
    all_at_work: Arc<Barrier>,
) -> Result<(i32, Vec<String>)> {
    let mut billed = Vec::new();
    let mut partition = -1;
    while let Some(order) = orders.recv().await {
        if billed.is_empty() {
            let waited = timeout(Duration::from_secs(30), all_at_work.wait()).await;
            waited.context("the partitions were not worked on at the same time")?;
        }
        let text = order.payload_view::<str>().context("no payload")??;
        billed.push(text.to_owned());
        partition = order.partition();
        consumer.store_offset(TOPIC, partition, order.offset())?;
    }
    Ok((partition, billed))
}

async fn place_orders(config: &ClientConfig) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    for number in 0..ORDERS {
        let order = format!("order {}", number + 1);
        let record: FutureRecord<str, _> =
            FutureRecord::to(TOPIC).partition((number % PARTITIONS) as i32).payload(&order);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("{ORDERS} orders in {TOPIC}, {PARTITIONS} partitions");
    Ok(())
}

/// Removes the topic and the groups, of which some may never have come to be.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_groups(&GROUPS, &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => {}
            Err((group, code)) => bail!("cannot delete {group}: {code}"),
        }
    }
    remove_topic(admin).await
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
