//! A trace that goes on behind the topic: the W3C `traceparent` as a message attribute.
//!
//! Guarantee: every span of one order has one trace id, and knows the span that caused it. Holds
//! while each program passes the attribute on; raw delivery hands it to SQS as an attribute.
//!
//! Run: `cargo run --example sns_trace`

use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_sdk_sns::{Client as Sns, config, types::MessageAttributeValue};
use aws_sdk_sqs::{
    Client as Sqs,
    types::{Message, QueueAttributeName},
};
use opentelemetry::{
    Context as Trace,
    propagation::TextMapPropagator,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tokio::time::{Instant, sleep};

const TOPIC: &str = "sns-trace-order-placed";
const QUEUE: &str = "sns-trace-billing";

#[tokio::main]
async fn main() -> Result<()> {
    let aws = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let limit = TimeoutConfig::builder().operation_timeout(Duration::from_secs(5)).build();
    let limited = config::Builder::from(&aws).timeout_config(limit).build();
    // Longer than a long poll, which is 20 s.
    let limit = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(25)).build();
    let patient = aws_sdk_sqs::config::Builder::from(&aws).timeout_config(limit).build();
    let (sns, sqs) = (Sns::from_conf(limited), Sqs::from_conf(patient));

    // Creating a topic that exists returns it.
    let created = sns.create_topic().name(TOPIC).send().await;
    let created = created.with_context(|| {
        format!(
            "cannot use SNS at {}; to start an emulator: docker compose up -d --wait, \
             or cargo run --bin sandbox -- up",
            aws.endpoint_url().unwrap_or("AWS")
        )
    })?;
    let topic = created.topic_arn.context("SNS gave no topic ARN")?;

    delete_queue(&sqs).await?; // left by a run that was cut off
    let queue = subscribe(&sns, &sqs, &topic).await?;
    // Add an exporter to a collector, and this is all that a program needs.
    let tracer = SdkTracerProvider::builder().build().tracer("shop");
    let placing = Trace::new().with_span(tracer.start("place order"));
    tell("place order", &placing, None);
    publish(&sns, &topic, "order 17", &placing).await?;
    let parent = received(&receive(&sqs, &queue).await?);
    let billing = parent.with_span(tracer.start_with_context("bill order", &parent));
    tell("bill order", &billing, Some(&parent));
    let ids = |t: &Trace| (t.span().span_context().trace_id(), t.span().span_context().span_id());
    println!("the message names its sender's span: {}", ids(&placing) == ids(&parent));
    sns.delete_topic().topic_arn(topic).send().await?; // and its subscriptions
    delete_queue(&sqs).await
}

// ANCHOR: trace
/// Publishes with the current span in the attribute `traceparent`.
async fn publish(sns: &Sns, topic: &str, text: &str, trace: &Trace) -> Result<()> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(trace, &mut carrier);
    carrier.retain(|_, value| !value.is_empty()); // AWS takes no empty attribute: tracestate
    let mut publish = sns.publish().topic_arn(topic).message(text);
    for (key, value) in carrier {
        let value = MessageAttributeValue::builder().data_type("String").string_value(value);
        publish = publish.message_attributes(key, value.build()?);
    }
    publish.send().await?;
    Ok(())
}

/// The span that a message's attribute names, in another program perhaps.
fn received(message: &Message) -> Trace {
    let attributes = message.message_attributes().into_iter().flatten();
    let carrier: HashMap<_, _> = attributes
        .filter_map(|(key, value)| Some((key.clone(), value.string_value()?.to_owned())))
        .collect();
    TraceContextPropagator::new().extract(&carrier)
}
// ANCHOR_END: trace

fn tell(name: &str, trace: &Trace, parent: Option<&Trace>) {
    let id = |trace: &Trace| trace.span().span_context().span_id().to_string();
    let (span, parent) = (id(trace), parent.map_or("none".to_owned(), id));
    println!(
        "{name}: trace {}, span {span}, parent {parent}",
        trace.span().span_context().trace_id()
    );
}

/// The message, by long polling. It goes with its queue.
async fn receive(sqs: &Sqs, queue: &str) -> Result<Message> {
    let poll = sqs.receive_message().queue_url(queue).wait_time_seconds(20);
    let received = poll.message_attribute_names("All").send().await?; // none are sent otherwise
    received.messages.unwrap_or_default().pop().context("no message within 20 s")
}

/// Creates the queue, which lets the topic send from the start, and subscribes it. AWS refuses a name
/// for 60 s after its deletion: waits that out.
async fn subscribe(sns: &Sns, sqs: &Sqs, topic: &str) -> Result<String> {
    let arn = topic.replace(":sns:", ":sqs:").replace(TOPIC, QUEUE);
    let policy = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{{
            "Effect": "Allow", "Principal": {{"Service": "sns.amazonaws.com"}},
            "Action": "sqs:SendMessage", "Resource": "{arn}",
            "Condition": {{"ArnEquals": {{"aws:SourceArn": "{topic}"}}}}}}]}}"#
    );
    let deadline = Instant::now() + Duration::from_secs(90);
    let queue = loop {
        let create = sqs.create_queue().queue_name(QUEUE);
        let error = match create.attributes(QueueAttributeName::Policy, &policy).send().await {
            Ok(created) => break created.queue_url.context("SQS gave no address")?,
            Err(error) => error.into_service_error(),
        };
        if !error.is_queue_deleted_recently() || Instant::now() > deadline {
            return Err(error).with_context(|| format!("cannot create {QUEUE}"));
        }
        eprintln!("{QUEUE} was deleted less than 60 s ago; trying again in 5 s");
        sleep(Duration::from_secs(5)).await;
    };
    let subscription = sns.subscribe().topic_arn(topic).protocol("sqs").endpoint(arn);
    subscription.attributes("RawMessageDelivery", "true").send().await?; // attributes stay attributes
    Ok(queue)
}

/// Deletes the queue if it exists.
async fn delete_queue(sqs: &Sqs) -> Result<()> {
    match sqs.get_queue_url().queue_name(QUEUE).send().await {
        Ok(found) => {
            sqs.delete_queue().set_queue_url(found.queue_url).send().await?;
        }
        Err(error) if error.as_service_error().is_some_and(|e| e.is_queue_does_not_exist()) => {}
        Err(error) => return Err(error).with_context(|| format!("cannot find {QUEUE}")),
    }
    Ok(())
}
