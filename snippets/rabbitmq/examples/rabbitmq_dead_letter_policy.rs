//! A policy sets the dead-letter exchange of queues that exist, and a wrong one loses messages.
//!
//! Guarantee: a policy holds for every queue whose name it matches, from the moment it is set, and
//! can be changed. It checks nothing: an exchange that does not exist drops the dead letters.
//!
//! Run: `cargo run --example rabbitmq_dead_letter_policy`

use std::{env, time::Duration};

use anyhow::{Context, Error, Result, ensure};
use futures::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    ExchangeKind,
    message::Delivery,
    options::{
        BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, BasicRejectOptions,
        ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use serde_json::{Value, json};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use ureq::Agent;

const EXCHANGE: &str = "rabbitmq-dead-letter-policy.failed";
const ORDERS: &str = "rabbitmq-dead-letter-policy.orders";
const DEAD: &str = "rabbitmq-dead-letter-policy.dead";
const POLICY: &str = "rabbitmq-dead-letter-policy.dlx";
const LIMIT: Duration = Duration::from_secs(10);

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

    clean_up(&channel).await?; // left by a run that was cut off
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let none = FieldTable::default;
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Fanout, durable, none()).await?;
    for queue in [ORDERS, DEAD] {
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), none()).await?;
    }
    let options = QueueBindOptions::default();
    channel.queue_bind(DEAD.into(), EXCHANGE.into(), "".into(), options, none()).await?;

    let mut orders = consumer(&channel, ORDERS).await?;
    // ANCHOR: policy
    println!("no policy");
    reject(&channel, &mut orders, "order 1").await?;
    println!("a policy that names an exchange that does not exist");
    set_policy("rabbitmq-dead-letter-policy.typo").await?;
    reject(&channel, &mut orders, "order 2").await?;
    println!("the right policy");
    set_policy(EXCHANGE).await?;
    reject(&channel, &mut orders, "order 3").await?;
    // ANCHOR_END: policy
    let first = next(&mut consumer(&channel, DEAD).await?).await?;
    println!("the first dead letter: {}", String::from_utf8_lossy(&first.data));
    clean_up(&channel).await?;
    connection.close(200, "done".into()).await?;
    Ok(())
}

/// Sets the policy and waits until the queue has it.
async fn set_policy(exchange: &str) -> Result<()> {
    let policy = json!({
        // A regular expression, which must match this queue only: a bare dot is any character.
        "pattern": format!("^{}$", ORDERS.replace('.', r"\.")),
        "definition": { "dead-letter-exchange": exchange },
        "apply-to": "queues",
    });
    manage("PUT", format!("policies/%2F/{POLICY}"), Some(policy)).await?;
    let deadline = Instant::now() + LIMIT;
    loop {
        let queue = manage("GET", format!("queues/%2F/{ORDERS}"), None).await?;
        if queue["effective_policy_definition"]["dead-letter-exchange"] == exchange {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the policy did not come into effect within 10 s");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Publishes an order and refuses it for good.
async fn reject(channel: &Channel, orders: &mut Consumer, order: &str) -> Result<()> {
    let (options, data) = (BasicPublishOptions::default(), order.as_bytes());
    let lasting = BasicProperties::default().with_delivery_mode(2);
    let confirm = async {
        channel.basic_publish("".into(), ORDERS.into(), options, data, lasting).await?.await
    };
    let answer = timeout(LIMIT, confirm).await.context("no confirm within 10 s")??;
    ensure!(answer == Confirmation::Ack(None), "RabbitMQ refused the order");
    let got = next(orders).await?;
    ensure!(got.reject(BasicRejectOptions { requeue: false }).await?, "not rejected");
    println!("  {order}: rejected");
    Ok(())
}

async fn consumer(channel: &Channel, queue: &str) -> Result<Consumer> {
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let (tag, options) = ("".into(), BasicConsumeOptions::default());
    Ok(channel.basic_consume(queue.into(), tag, options, FieldTable::default()).await?)
}

async fn next(consumer: &mut Consumer) -> Result<Delivery> {
    let next = timeout(LIMIT, consumer.next()).await.context("no message within 10 s")?;
    Ok(next.context("the consumer was cancelled")??)
}

/// Asks the management API, which runs on a port of its own. The call blocks a thread of its own.
async fn manage(method: &'static str, path: String, body: Option<Value>) -> Result<Value> {
    let usual = "http://guest:guest@localhost:15672".to_owned();
    let url = format!("{}/api/{path}", env::var("RABBITMQ_MANAGEMENT_URL").unwrap_or(usual));
    let agent: Agent = Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let text = spawn_blocking(move || match (method, body) {
        ("PUT", body) => agent.put(&url).send_json(body)?.body_mut().read_to_string(),
        ("DELETE", _) => agent.delete(&url).call()?.body_mut().read_to_string(),
        _ => agent.get(&url).call()?.body_mut().read_to_string(),
    });
    let text = text.await??;
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}

async fn clean_up(channel: &Channel) -> Result<()> {
    for queue in [ORDERS, DEAD] {
        channel.queue_delete(queue.into(), Default::default()).await?;
    }
    channel.exchange_delete(EXCHANGE.into(), Default::default()).await?;
    let policies = manage("GET", "policies/%2F".to_owned(), None).await?;
    if policies.as_array().is_some_and(|all| all.iter().any(|policy| policy["name"] == POLICY)) {
        manage("DELETE", format!("policies/%2F/{POLICY}"), None).await?;
    }
    Ok(())
}
