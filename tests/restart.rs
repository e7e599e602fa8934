//! A Kafka broker that is killed in the middle of a program's work and comes back with its data. The
//! page cache survives: nothing here says anything about a power failure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, stream::FuturesUnordered};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord, future_producer::DeliveryFuture},
};
use sandbox::{Broker, machine::scaled};
use tests::{brokers::Brokers, crash::survives};

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_survives_a_crash_of_its_broker_or_says_why_not() -> Result<()> {
    survives(Broker::Kafka, "kafka_produce_keyed")
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_survives_a_crash_of_its_broker() -> Result<()> {
    let code = survives(Broker::Kafka, "kafka_consume").await?;
    ensure!(
        code == Some(0),
        "it gave up, although the client connects again"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_survives_a_crash_of_its_broker_or_says_why_not() -> Result<()> {
    survives(Broker::Kafka, "kafka_exactly_once")
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebalance_survives_a_crash_of_its_broker_or_says_why_not() -> Result<()> {
    survives(Broker::Kafka, "kafka_rebalance").await.map(drop)
}

const LIMIT: Duration = Duration::from_secs(120);
const TOPIC: &str = "restart.orders";
const OUTSTANDING: usize = 500;

/// One replica, acks=all, idempotent: what was acknowledged before, while and after the broker was
/// killed is in the log exactly once.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_broker_acknowledged_survives_its_crash() -> Result<()> {
    let mut brokers = Brokers::start_these(&[Broker::Kafka])?;
    let mut config = ClientConfig::new();
    config.set(
        "bootstrap.servers",
        brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?,
    );
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }

    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "90000")
        .create()?;
    let mut sent = Sent::default();
    sent.until_acknowledged(&producer, 10_000).await?;
    for _ in 0..OUTSTANDING {
        sent.one_more(&producer)?;
    }
    tokio::task::block_in_place(|| brokers.crash(Broker::Kafka))?;
    sent.until_acknowledged(&producer, 20_000).await?;
    sent.settle().await?;

    let copies = tokio::task::block_in_place(|| copies(&config, sent.next))?;
    let lost = sent
        .acknowledged
        .iter()
        .filter(|n| !copies.contains_key(n))
        .count();
    let repeated = copies.values().filter(|copies| **copies > 1).count();
    let acknowledged = sent.acknowledged.len();
    eprintln!("{acknowledged} acknowledged, {lost} lost, {repeated} repeated");
    ensure!(
        lost == 0,
        "{lost} of {acknowledged} acknowledged records are lost"
    );
    ensure!(repeated == 0, "{repeated} records are there more than once");
    Ok(())
}

/// Records that were sent, each with its number as payload.
#[derive(Default)]
struct Sent {
    next: usize,
    waiting: FuturesUnordered<Numbered>,
    acknowledged: Vec<usize>,
}

type Numbered = std::pin::Pin<Box<dyn Future<Output = Result<usize>> + Send>>;

impl Sent {
    fn one_more(&mut self, producer: &FutureProducer) -> Result<()> {
        let number = self.next;
        let payload = number.to_string();
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&payload);
        let receipt = producer.send_result(record).map_err(|(error, _)| error)?;
        self.waiting.push(Box::pin(receipt_of(number, receipt)));
        self.next += 1;
        Ok(())
    }

    /// Keeps `OUTSTANDING` records on their way until so many are acknowledged.
    async fn until_acknowledged(&mut self, producer: &FutureProducer, count: usize) -> Result<()> {
        while self.acknowledged.len() < count {
            while self.waiting.len() < OUTSTANDING {
                self.one_more(producer)?;
            }
            let number = self
                .waiting
                .next()
                .await
                .context("nothing is on its way")??;
            self.acknowledged.push(number);
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<()> {
        while let Some(number) = self.waiting.next().await {
            self.acknowledged.push(number?);
        }
        Ok(())
    }
}

async fn receipt_of(number: usize, receipt: DeliveryFuture) -> Result<usize> {
    receipt.await?.map_err(|(error, _)| error)?;
    Ok(number)
}

/// How often each of `sent` numbers is in the topic.
fn copies(config: &ClientConfig, sent: usize) -> Result<BTreeMap<usize, usize>> {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "restart.audit")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut partition = TopicPartitionList::new();
    partition.add_partition_offset(TOPIC, 0, Offset::Beginning)?;
    consumer.assign(&partition)?;
    let mut copies = BTreeMap::new();
    let deadline = Instant::now() + scaled(LIMIT);
    loop {
        ensure!(
            Instant::now() < deadline,
            "the end of {sent} records was not reached"
        );
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => {
                let payload = message
                    .payload_view::<str>()
                    .context("a record without payload")??;
                *copies.entry(payload.parse()?).or_default() += 1;
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return Ok(copies),
            Some(Err(error)) => return Err(error.into()),
            None => {}
        }
    }
}
