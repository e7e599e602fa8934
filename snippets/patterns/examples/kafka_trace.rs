//! A trace that goes on behind the broker: the W3C `traceparent` as a header of each record.
//!
//! Guarantee: every span of one order has one trace id, and knows the span that caused it. Holds
//! while each program passes the header on.
//!
//! Run: `cargo run --example kafka_trace`

use std::{
    collections::{HashMap, HashSet},
    env,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use opentelemetry::{
    Context as Trace,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    error::RDKafkaErrorCode as Code,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};
use tokio::time::timeout;

const TOPICS: [&str; 2] = ["kafka-trace.orders", "kafka-trace.invoices"];

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
    gone(admin.delete_topics(&TOPICS, &options).await?)?; // left by a run that was cut off
    let topics = TOPICS.map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    shown.and(gone(admin.delete_topics(&TOPICS, &options).await?))
}

async fn show(config: &ClientConfig) -> Result<()> {
    // With an exporter, to a collector, this is all that a program needs.
    let tracer = SdkTracerProvider::builder().build().tracer("shop");
    let mut safe = config.clone();
    safe.set("enable.idempotence", "true").set("message.timeout.ms", "10000");
    let producer: FutureProducer = safe.create()?;

    let placing = Trace::new().with_span(tracer.start("place order"));
    tell("place order", &placing, None);
    send(&producer, TOPICS[0], "order 17", &placing).await?;

    let billing = cause(config, TOPICS[0], &tracer, "bill order", &placing).await?;
    send(&producer, TOPICS[1], "invoice 17", &billing).await?;
    let archiving = cause(config, TOPICS[1], &tracer, "archive invoice", &billing).await?;
    let spans = [placing, billing, archiving];
    let traces: HashSet<_> = spans.iter().map(|t| t.span().span_context().trace_id()).collect();
    println!("{} spans, traces: {}", spans.len(), traces.len());
    Ok(())
}

// ANCHOR: trace
/// Sends with the current span in the header `traceparent`.
async fn send(producer: &FutureProducer, topic: &str, text: &str, trace: &Trace) -> Result<()> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(trace, &mut carrier);
    let headers = carrier.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    });
    let record: FutureRecord<str, _> = FutureRecord::to(topic).payload(text).headers(headers);
    producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    Ok(())
}

/// The span that a record's header names, in another program perhaps.
fn received(record: &BorrowedMessage) -> Trace {
    let headers = record.headers().into_iter().flat_map(Headers::iter);
    let carrier: HashMap<_, _> = headers
        .filter_map(|header| {
            Some((header.key.to_owned(), String::from_utf8(header.value?.to_vec()).ok()?))
        })
        .collect();
    TraceContextPropagator::new().extract(&carrier)
}
// ANCHOR_END: trace

/// Receives a record and begins a span that it causes.
async fn cause(
    config: &ClientConfig,
    topic: &str,
    tracer: &SdkTracer,
    name: &'static str,
    sender: &Trace,
) -> Result<Trace> {
    let mut by_hand = config.clone();
    by_hand.set("group.id", "kafka-trace.reader").set("enable.auto.commit", "false"); // no commits
    let consumer: StreamConsumer = by_hand.create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&start)?;
    let record = timeout(Duration::from_secs(30), consumer.recv()).await;
    let parent = received(&record.context("no record within 30 s")??);
    let trace = parent.with_span(tracer.start_with_context(name, &parent));
    ensure!(same(sender, &parent), "the record does not name its sender's span");
    tell(name, &trace, Some(&parent));
    Ok(trace)
}

/// Whether the trace that was received is the one that was sent on.
fn same(sent: &Trace, received: &Trace) -> bool {
    let ids = |trace: &Trace| {
        let span = trace.span();
        (span.span_context().trace_id(), span.span_context().span_id())
    };
    ids(sent) == ids(received)
}

fn tell(name: &str, trace: &Trace, parent: Option<&Trace>) {
    let id = |trace: &Trace| trace.span().span_context().span_id().to_string();
    let parent = parent.map_or("none".to_owned(), id);
    let trace_id = trace.span().span_context().trace_id();
    println!("{name}: trace {trace_id}, span {}, parent {parent}", id(trace));
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    for (name, code) in results.into_iter().filter_map(Result::err) {
        let never_was = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound].contains(&code);
        ensure!(never_was, "cannot delete {name}: {code}");
    }
    Ok(())
}
