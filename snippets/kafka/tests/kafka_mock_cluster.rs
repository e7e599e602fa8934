//! Tests a producer and a consumer on librdkafka's MockCluster, without a broker.
//!
//! Guarantee: the client is the real one and the protocol too; the broker is a stand-in inside the
//! process. Holds for what the stand-in can do: it has no admin calls and ignores transactions.
//!
//! Run: `cargo test --test kafka_mock_cluster`

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::KafkaError::{self, AdminOp, MessageConsumption, MessageProduction},
    error::RDKafkaErrorCode as Code,
    mocking::MockCluster,
    producer::{DefaultProducerContext, FutureProducer, FutureRecord, Producer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
    util::Timeout,
};
use tokio::time::timeout;

const TOPIC: &str = "orders";
const LIMIT: Duration = Duration::from_secs(20);

// What is tested: two functions of a service.
async fn send_order(producer: &FutureProducer, order: &str) -> Result<(), KafkaError> {
    let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(order);
    producer.send(record, Timeout::Never).await.map(drop).map_err(|(error, _)| error)
}

async fn next_orders(consumer: &StreamConsumer, count: usize) -> Result<Vec<String>> {
    let mut orders = Vec::new();
    while orders.len() < count {
        let order = timeout(LIMIT, consumer.recv()).await.context("no order within 20 s")??;
        orders.push(order.payload_view::<str>().context("no payload")??.to_owned());
    }
    Ok(orders)
}

// ANCHOR: tests
/// An answer that is reported at once. Behind others, it reaches only a client that asks again.
const DENIED: RDKafkaRespErr = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;

/// A cluster of one broker with the topic of the service, and how a client finds it.
struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    config: ClientConfig,
}

fn mock() -> Result<Mock> {
    let cluster = MockCluster::new(1)?;
    cluster.create_topic(TOPIC, 1, 1)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    Ok(Mock { cluster, config })
}

impl Mock {
    fn producer(&self) -> Result<FutureProducer> {
        Ok(self.config.clone().set("message.timeout.ms", "2000").create()?)
    }

    fn consumer(&self) -> Result<StreamConsumer> {
        let mut config = self.config.clone();
        config.set("group.id", "billing").set("auto.offset.reset", "earliest");
        let consumer: StreamConsumer = config.create()?;
        consumer.subscribe(&[TOPIC])?;
        Ok(consumer)
    }
}

#[tokio::test]
async fn what_is_sent_is_read_in_order() -> Result<()> {
    let mock = mock()?;
    let producer = mock.producer()?;
    send_order(&producer, "order 1").await?;
    send_order(&producer, "order 2").await?;
    let orders = next_orders(&mock.consumer()?, 2).await?;
    ensure!(orders == ["order 1", "order 2"], "{orders:?}");
    Ok(())
}

#[tokio::test]
async fn an_error_that_passes_is_retried_by_the_client() -> Result<()> {
    let mock = mock()?;
    let moved = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &[moved, moved, DENIED]);
    let sent = send_order(&mock.producer()?, "order 1").await;
    ensure!(sent == Err(MessageProduction(Code::TopicAuthorizationFailed)), "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn a_coordinator_that_is_not_ready_is_asked_again() -> Result<()> {
    let mock = mock()?;
    let absent = RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE;
    mock.cluster.request_errors(RDKafkaApiKey::FindCoordinator, &[absent, absent, DENIED]);
    let told = timeout(LIMIT, mock.consumer()?.recv()).await?.err();
    ensure!(told == Some(MessageConsumption(Code::TopicAuthorizationFailed)), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn an_error_that_stays_is_reported() -> Result<()> {
    let mock = mock()?;
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &[DENIED]);
    let sent = send_order(&mock.producer()?, "order 1").await;
    ensure!(sent == Err(MessageProduction(Code::TopicAuthorizationFailed)), "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_too_large_is_not_even_sent() -> Result<()> {
    let sent = send_order(&mock()?.producer()?, &"x".repeat(1_000_001)).await;
    ensure!(sent == Err(MessageProduction(Code::MessageSizeTooLarge)), "{sent:?}");
    Ok(())
}

#[tokio::test]
async fn a_broker_that_is_down_is_reported_in_time() -> Result<()> {
    let mock = mock()?;
    let producer = mock.producer()?;
    send_order(&producer, "order 1").await?;
    mock.cluster.broker_down(1)?;
    let sent = send_order(&producer, "order 2").await;
    ensure!(sent == Err(MessageProduction(Code::MessageTimedOut)), "{sent:?}");
    Ok(())
}
// ANCHOR_END: tests

// ANCHOR: limits
#[tokio::test]
async fn limit_an_aborted_order_is_read() -> Result<()> {
    let mock = mock()?;
    let mut config = mock.config.clone();
    let producer: FutureProducer = config.set("transactional.id", "billing").create()?;
    producer.init_transactions(LIMIT)?; // blocks, as the other two do; nothing else runs
    producer.begin_transaction()?;
    send_order(&producer, "order 1").await?;
    producer.abort_transaction(LIMIT)?;
    // A broker would not show it to this consumer, which reads what is committed.
    let orders = next_orders(&mock.consumer()?, 1).await?;
    ensure!(orders == ["order 1"], "{orders:?}");
    Ok(())
}

#[tokio::test]
async fn limit_an_admin_call_is_not_answered() -> Result<()> {
    let mock = mock()?;
    let admin: AdminClient<DefaultClientContext> = mock.config.create()?;
    let topic = NewTopic::new("invoices", 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().request_timeout(Some(Duration::from_secs(1)));
    let created = admin.create_topics([&topic], &options).await.err();
    ensure!(created == Some(AdminOp(Code::OperationTimedOut)), "{created:?}");
    Ok(())
}
// ANCHOR_END: limits
