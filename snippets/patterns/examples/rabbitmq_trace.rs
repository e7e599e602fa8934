//! A trace that goes on behind the broker: the W3C `traceparent` as a header of each message.
//!
//! Guarantee: every span of one order has one trace id, and knows the span that caused it. Holds
//! while each program passes the header on.
//!
//! Run: `cargo run --example rabbitmq_trace`

use std::{
    collections::{HashMap, HashSet},
    env,
    time::Duration,
};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
    uri::AMQPUri,
};
use opentelemetry::{
    Context as Trace,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};
use tokio::time::timeout;

const ORDERS: &str = "rabbitmq-trace.orders";
const INVOICES: &str = "rabbitmq-trace.invoices";

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
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for queue in [ORDERS, INVOICES] {
        channel.queue_delete(queue.into(), Default::default()).await?; // left by a run cut off
        let lasting = QueueDeclareOptions::durable();
        channel.queue_declare(queue.into(), lasting, FieldTable::default()).await?;
    }

    // With an exporter, to a collector, this is all that a program needs.
    let tracer = SdkTracerProvider::builder().build().tracer("shop");
    let placing = Trace::new().with_span(tracer.start("place order"));
    tell("place order", &placing, None);
    publish(&channel, ORDERS, "order 17", &placing).await?;
    let billing = cause(&channel, ORDERS, &tracer, "bill order", &placing).await?;
    publish(&channel, INVOICES, "invoice 17", &billing).await?;
    let archiving = cause(&channel, INVOICES, &tracer, "archive invoice", &billing).await?;
    let spans = [placing, billing, archiving];
    let traces: HashSet<_> = spans.iter().map(|t| t.span().span_context().trace_id()).collect();
    println!("{} spans, traces: {}", spans.len(), traces.len());

    for queue in [ORDERS, INVOICES] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    let closed = connection.close(200, "done".into()).await;
    closed.unwrap_or_else(|error| eprintln!("{error}")); // a channel may be closing already
    Ok(())
}

// ANCHOR: trace
/// Publishes with the current span in the header `traceparent`.
async fn publish(channel: &Channel, queue: &str, text: &str, trace: &Trace) -> Result<()> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(trace, &mut carrier);
    let mut headers = FieldTable::default();
    for (key, value) in carrier {
        headers.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let confirm = async {
        let data = text.as_bytes();
        channel.basic_publish("".into(), queue.into(), options, data, properties).await?.await
    };
    let confirmed = timeout(Duration::from_secs(10), confirm).await.context("no confirm")??;
    ensure!(confirmed == Confirmation::Ack(None), "no queue took {text}");
    Ok(())
}

/// The span that a message's header names, in another program perhaps.
fn received(message: &Delivery) -> Trace {
    let headers = message.properties.headers().iter().flat_map(|table| table.inner());
    let carrier: HashMap<_, _> = headers
        .filter_map(|(key, value)| Some((key.to_string(), value.as_long_string()?.to_string())))
        .collect();
    TraceContextPropagator::new().extract(&carrier)
}
// ANCHOR_END: trace

/// Receives a message and begins a span that it causes.
async fn cause(
    channel: &Channel,
    queue: &str,
    tracer: &SdkTracer,
    name: &'static str,
    sender: &Trace,
) -> Result<Trace> {
    let options = Default::default();
    let mut messages =
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    let message = timeout(Duration::from_secs(10), messages.next()).await.context("no message")?;
    let message = message.context("the consumer was cancelled")??;
    let parent = received(&message);
    ensure!(same(sender, &parent), "the message does not name its sender's span");
    let trace = parent.with_span(tracer.start_with_context(name, &parent));
    tell(name, &trace, Some(&parent));
    message.ack(BasicAckOptions::default()).await?;
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
