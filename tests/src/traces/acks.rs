//! Consumers of a queue: what each holds after each publish, ack, reject and nack, what waits, and what
//! was set aside.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use lapin::{
    BasicProperties, Channel, Connection,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions,
        BasicRejectOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{amqp, part};
use crate::brokers::Brokers;

const AT_ONCE: usize = 10;

/// That nothing comes any more only time can tell.
const QUIET: Duration = Duration::from_millis(250);
const LIMIT: Duration = Duration::from_secs(15);

/// Quorum, prefetch (0 none), delivery limit (0: none set), dead-letter exchange, events.
type Case = (u8, u16, i32, u8, String);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let connection = amqp::connect(brokers).await?;
    let cases = inputs.iter().map(part).collect::<Result<Vec<Case>>>()?;
    let connection = &connection;
    let played = cases
        .into_iter()
        .enumerate()
        .map(|(number, case)| async move {
            let played = History::begin(connection, number, &case)
                .await?
                .play(&case)
                .await;
            played.with_context(|| format!("history {number}: {case:?}"))
        });
    stream::iter(played).buffered(AT_ONCE).try_collect().await
}

/// What consumers have been handed and not answered, in order, with the consumer's name.
type Hands = Arc<Mutex<Vec<(char, Delivery)>>>;

struct History<'a> {
    connection: &'a Connection,
    channel: Channel,
    queue: String,
    dead: String,
    prefetch: u16,
    consumers: BTreeMap<char, Channel>,
    hands: Hands,
    /// What was handed out since the last look.
    news: Arc<Mutex<Vec<String>>>,
}

impl<'a> History<'a> {
    async fn begin(connection: &'a Connection, number: usize, case: &Case) -> Result<Self> {
        let (quorum, prefetch, limit, dead_letters, _) = case;
        let channel = amqp::channel(connection).await?;
        let (queue, dead) = (
            format!("trace-acks.{number}"),
            format!("trace-acks.dead-{number}"),
        );
        for name in [&queue, &dead] {
            channel
                .queue_delete(name.as_str().into(), Default::default())
                .await?;
        }
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        if *quorum == 1 {
            arguments.insert("x-queue-type".into(), text("quorum"));
        }
        if *limit > 0 {
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(*limit));
        }
        if *dead_letters == 1 {
            arguments.insert("x-dead-letter-exchange".into(), text(""));
            arguments.insert("x-dead-letter-routing-key".into(), text(&dead));
        }
        let durable = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        channel
            .queue_declare(queue.as_str().into(), durable, arguments)
            .await?;
        channel
            .queue_declare(dead.as_str().into(), durable, FieldTable::default())
            .await?;
        Ok(Self {
            connection,
            channel,
            queue,
            dead,
            prefetch: *prefetch,
            consumers: BTreeMap::new(),
            hands: Hands::default(),
            news: Arc::default(),
        })
    }

    async fn play(mut self, case: &Case) -> Result<Value> {
        let mut results = Vec::new();
        for event in case.4.split_whitespace() {
            self.step(event).await.with_context(|| event.to_owned())?;
            results.push(self.state().await?);
        }
        let dead = self.dead_letters().await?;
        for consumer in std::mem::take(&mut self.consumers).into_values() {
            consumer.close(200, "done".into()).await?;
        }
        for name in [&self.queue, &self.dead] {
            self.channel
                .queue_delete(name.as_str().into(), Default::default())
                .await?;
        }
        self.channel.close(200, "done".into()).await?;
        Ok(json!([results, dead]))
    }

    async fn step(&mut self, event: &str) -> Result<()> {
        let (operation, rest) = event.split_at(1);
        let name = rest.chars().next().context("no name")?;
        match operation {
            "s" => {
                let persistent = BasicProperties::default().with_delivery_mode(2);
                amqp::publish(&self.channel, "", &self.queue, rest, persistent, true).await?;
            }
            "+" if !self.consumers.contains_key(&name) => self.consume(name).await?,
            "+" => {}
            "-" => {
                let Some(consumer) = self.consumers.remove(&name) else {
                    return Ok(());
                };
                consumer.close(200, "done".into()).await?;
                self.lock().retain(|(holder, _)| *holder != name);
            }
            _ => self.answer(operation, name, &rest[1..]).await?,
        }
        Ok(())
    }

    async fn consume(&mut self, name: char) -> Result<()> {
        let channel = self.connection.create_channel().await?;
        channel
            .basic_qos(self.prefetch, BasicQosOptions::default())
            .await?;
        let options = BasicConsumeOptions::default();
        let tag = name.to_string();
        let consumer = channel.basic_consume(
            self.queue.as_str().into(),
            tag.into(),
            options,
            FieldTable::default(),
        );
        let mut consumer = consumer.await?;
        let (hands, news) = (Arc::clone(&self.hands), Arc::clone(&self.news));
        tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let again = if delivery.redelivered { "*" } else { "" };
                let id = String::from_utf8_lossy(&delivery.data).into_owned();
                news.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(format!("{name}{id}{again}"));
                hands
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((name, delivery));
            }
        });
        self.consumers.insert(name, channel);
        Ok(())
    }

    async fn answer(&mut self, operation: &str, name: char, id: &str) -> Result<()> {
        let delivery = {
            let mut hands = self.lock();
            let is_it = |(holder, held): &(char, Delivery)| {
                *holder == name && (id.is_empty() || held.data == id.as_bytes())
            };
            // Who holds nothing answers nothing: a history need not foresee what the broker does.
            let Some(place) = hands.iter().position(is_it) else {
                return Ok(());
            };
            hands.remove(place).1
        };
        match operation {
            "a" => delivery.ack(BasicAckOptions::default()).await?,
            "j" => {
                delivery
                    .reject(BasicRejectOptions { requeue: false })
                    .await?
            }
            "r" => {
                delivery
                    .reject(BasicRejectOptions { requeue: true })
                    .await?
            }
            _ => {
                let requeue = BasicNackOptions {
                    requeue: true,
                    ..Default::default()
                };
                delivery.nack(requeue).await?
            }
        };
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(char, Delivery)>> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was handed out by this event, how much waits, and how much was set aside, once it is quiet.
    async fn state(&self) -> Result<Value> {
        let started = Instant::now();
        let mut last = (usize::MAX, 0, 0);
        let mut since = Instant::now();
        while since.elapsed() < QUIET && started.elapsed() < LIMIT {
            let handed = self
                .news
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .len();
            let now = (
                handed,
                self.count(&self.queue).await?,
                self.count(&self.dead).await?,
            );
            if now != last {
                (last, since) = (now, Instant::now());
            }
            sleep(Duration::from_millis(20)).await;
        }
        let mut news =
            std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        // Between two channels there is no order.
        news.sort_by_key(|handed| handed.chars().next());
        Ok(json!([news.join(" "), last.1, last.2]))
    }

    async fn count(&self, queue: &str) -> Result<u32> {
        let passive = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let declared = self
            .channel
            .queue_declare(queue.into(), passive, FieldTable::default());
        Ok(declared.await?.message_count())
    }

    /// Each dead letter with its reason.
    async fn dead_letters(&self) -> Result<String> {
        let mut dead = Vec::new();
        while let Some(letter) = self
            .channel
            .basic_get(self.dead.as_str().into(), BasicGetOptions::default())
            .await?
        {
            let headers = letter.properties.headers().as_ref();
            let reason = headers.and_then(|h| h.inner().get("x-first-death-reason"));
            let reason = match reason {
                Some(AMQPValue::LongString(reason)) => reason.to_string(),
                _ => "no reason".to_owned(),
            };
            dead.push(format!(
                "{}:{reason}",
                String::from_utf8_lossy(&letter.data)
            ));
            letter.ack(BasicAckOptions::default()).await?;
        }
        Ok(dead.join(" "))
    }
}
