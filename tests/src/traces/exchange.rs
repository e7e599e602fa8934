//! Routing: which queues a published message is in, whether it came back, which bindings were refused.

use anyhow::{Result, ensure};
use lapin::{
    BasicProperties, Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions, QueuePurgeOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};

use super::{amqp, part};
use crate::brokers::Brokers;

const EXCHANGE: &str = "trace-exchange.x";
const ALTERNATE: &str = "trace-exchange.alternate";
const QUEUES: [&str; 4] = ["q0", "q1", "q2", "alt"];

/// Type, bindings (queue, key, arguments), routing key, headers, mandatory, alternate exchange (0 none,
/// 1 with a queue, 2 without).
type Case = (String, Vec<[String; 3]>, String, String, u8, u8);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let connection = amqp::connect(brokers).await?;
    let mut channel = amqp::channel(&connection).await?;
    let options = QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    for queue in QUEUES {
        let name = name(queue);
        channel
            .queue_declare(name.into(), options, FieldTable::default())
            .await?;
    }
    let mut results = Vec::new();
    for input in inputs {
        let case: Case = part(input)?;
        results.push(play_one(&connection, &mut channel, &case).await?);
    }
    Ok(results)
}

async fn play_one(connection: &Connection, channel: &mut Channel, case: &Case) -> Result<Value> {
    let (kind, bindings, key, headers, mandatory, alternate) = case;
    declare(channel, kind, *alternate).await?;
    let mut refused = 0;
    for [queue, key, arguments] in bindings {
        let (queue, key) = (name(queue), key.as_str());
        let arguments = table(arguments);
        let bound = channel
            .queue_bind(
                queue.into(),
                EXCHANGE.into(),
                key.into(),
                Default::default(),
                arguments,
            )
            .await;
        // A refusal closes the channel.
        if bound.is_err() {
            refused += 1;
            *channel = amqp::channel(connection).await?;
        }
    }
    let properties = BasicProperties::default().with_headers(table(headers));
    let (returned, confirmed) =
        amqp::publish(channel, EXCHANGE, key, "m", properties, *mandatory == 1).await?;
    let mut copies = String::new();
    for queue in QUEUES {
        let options = QueuePurgeOptions::default();
        let count = channel.queue_purge(name(queue).into(), options).await?;
        copies += &count.to_string();
    }
    for exchange in [EXCHANGE, ALTERNATE] {
        channel
            .exchange_delete(exchange.into(), Default::default())
            .await?;
    }
    ensure!(copies.len() == QUEUES.len(), "more than nine copies");
    Ok(json!([
        copies,
        u8::from(returned),
        u8::from(confirmed),
        refused
    ]))
}

async fn declare(channel: &Channel, kind: &str, alternate: u8) -> Result<()> {
    let mut arguments = FieldTable::default();
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    if alternate > 0 {
        let none = FieldTable::default();
        channel
            .exchange_declare(ALTERNATE.into(), ExchangeKind::Fanout, options, none)
            .await?;
        let name = AMQPValue::LongString(ALTERNATE.into());
        arguments.insert("alternate-exchange".into(), name);
    }
    if alternate == 1 {
        let options = Default::default();
        let none = FieldTable::default();
        channel
            .queue_bind(
                name("alt").into(),
                ALTERNATE.into(),
                "".into(),
                options,
                none,
            )
            .await?;
    }
    let kind = match kind {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "headers" => ExchangeKind::Headers,
        _ => ExchangeKind::Topic,
    };
    let declared = channel.exchange_declare(EXCHANGE.into(), kind, options, arguments);
    Ok(declared.await?)
}

fn name(queue: &str) -> String {
    format!("trace-exchange.{queue}")
}

/// `format=pdf, pages=5, urgent` as a table: the notation of the model.
fn table(text: &str) -> FieldTable {
    let mut table = FieldTable::default();
    for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let (name, value) = match part.split_once('=') {
            None => (part, AMQPValue::Void),
            Some((name, value)) => (name.trim(), typed(value.trim())),
        };
        table.insert(name.into(), value);
    }
    table
}

fn typed(text: &str) -> AMQPValue {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = !digits.starts_with('0') || digits == "0" || digits.starts_with("0.");
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit()) && is_canonical;
    let decimals = digits.split_once('.').map(|(_, decimals)| decimals);
    match text {
        "true" | "false" => AMQPValue::Boolean(text == "true"),
        _ if is_number && decimals.is_none() && text.parse::<i32>().is_ok() => {
            AMQPValue::LongInt(text.parse().unwrap_or_default())
        }
        _ if is_number && decimals.is_some() && text.parse::<f64>().is_ok() => {
            AMQPValue::Double(text.parse().unwrap_or_default())
        }
        _ => {
            let inside = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
            AMQPValue::LongString(inside.unwrap_or(text).into())
        }
    }
}
