//! Works on several partitions at a time and keeps the order within each.
//!
//! Guarantee: at least once, and in order within a partition while the group does not rebalance.
//! Holds because each partition has one task, which stores an offset only after its work.
//!
//! Run: `cargo run --example kafka_parallel`

use std::collections::{BTreeMap, HashMap};
use std::{env, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig, Message, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{CommitMode, Consumer, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
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
const GROUP: &str = "kafka-parallel.billing";
const ORDERS: usize = 9;
const ROOM: usize = 2; // for each partition; hundreds in a service

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
    let options = AdminOptions::new();
    gone(admin.delete_topics(&[TOPIC], &options).await?)?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, PARTITIONS as i32, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    place_orders(&config).await?;
    let consumed = timeout(Duration::from_secs(60), consume(&config)).await;
    let consumed = consumed.context("not all orders within 60 s").flatten();
    let groups = gone(admin.delete_groups(&[GROUP], &options).await?);
    consumed.and(groups).and(gone(admin.delete_topics(&[TOPIC], &options).await?))
}

async fn consume(config: &ClientConfig) -> Result<()> {
    let mut settings = config.clone();
    settings.set("group.id", GROUP).set("auto.offset.reset", "earliest");
    settings.set("enable.auto.offset.store", "false"); // a task stores an offset after its work
    let consumer: StreamConsumer = settings.set("session.timeout.ms", "6000").create()?; // not 45 s
    consumer.subscribe(&[TOPIC])?;
    let consumer = Arc::new(consumer);

    // ANCHOR: parallel
    // Opens when all partitions are worked on at the same time.
    let all_at_work = Arc::new(Barrier::new(PARTITIONS));
    let mut workers = JoinSet::new();
    let mut queues: HashMap<i32, mpsc::Sender<OwnedMessage>> = HashMap::new();
    let mut left = ORDERS;
    while left > 0 {
        let order = match consumer.recv().await {
            Err(error) if is_passing(&error) => continue,
            order => order?.detach(),
        };
        left -= 1;
        let partition = order.partition();
        let queue = queues.entry(partition).or_insert_with(|| {
            let (queue, orders) = mpsc::channel(ROOM);
            workers.spawn(work(consumer.clone(), orders, all_at_work.clone()));
            queue
        });
        // The last place: this partition is paused, the others go on. Its worker resumes it.
        if queue.capacity() == 1 {
            consumer.pause(&only(partition))?;
        }
        queue.try_send(order).context("the worker has ended")?;
    }
    drop(queues); // each worker ends when its queue is empty
    // ANCHOR_END: parallel

    let billed = workers.join_all().await.into_iter().collect::<Result<BTreeMap<_, _>>>()?;
    println!("{} partitions were worked on at the same time", billed.len());
    for (partition, orders) in &billed {
        println!("partition {partition}: {orders:?}");
    }
    let committing = move || consumer.commit_consumer_state(CommitMode::Sync);
    match tokio::task::spawn_blocking(committing).await? {
        Err(KafkaError::ConsumerCommit(Code::NoOffset)) => Ok(()), // done already
        committed => Ok(committed?),
    }
}

fn only(partition: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition(TOPIC, partition);
    list
}

async fn work(
    consumer: Arc<StreamConsumer>,
    mut orders: mpsc::Receiver<OwnedMessage>,
    all_at_work: Arc<Barrier>,
) -> Result<(i32, Vec<String>)> {
    let (mut billed, mut partition) = (Vec::new(), -1);
    while let Some(order) = orders.recv().await {
        if billed.is_empty() {
            all_at_work.wait().await;
        }
        let text = order.payload_view::<str>().context("no payload")??;
        billed.push(text.to_owned());
        partition = order.partition();
        match consumer.store_offset(TOPIC, partition, order.offset()) {
            Err(KafkaError::StoreOffset(Code::State | Code::UnknownPartition)) => {} // another's now
            stored => stored?,
        }
        if orders.is_empty() {
            consumer.resume(&only(partition))?;
        }
    }
    Ok((partition, billed))
}

async fn place_orders(config: &ClientConfig) -> Result<()> {
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;
    for (number, order) in (0..ORDERS).map(|number| (number, format!("order {}", number + 1))) {
        let record = FutureRecord::<str, _>::to(TOPIC).partition((number % PARTITIONS) as i32);
        let sent = producer.send(record.payload(&order), Timeout::Never).await;
        sent.map_err(|(error, _)| error)?;
    }
    println!("{ORDERS} orders in {TOPIC}, {PARTITIONS} partitions");
    Ok(())
}

fn is_passing(error: &KafkaError) -> bool {
    use Code::{AllBrokersDown, BrokerTransportFailure, PollExceeded, Resolve};
    let code = error.rdkafka_error_code();
    matches!(code, Some(AllBrokersDown | BrokerTransportFailure | PollExceeded | Resolve))
}

fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
