//! Histories of an SQS queue: what each receive, delete and change of visibility gave.
//!
//! A unit of time is four seconds. A timeout of n units is set to 4n - 2 s, so that every call is at
//! least a second away from a deadline: here the time itself is what is tested.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{MessageSystemAttributeName, QueueAttributeName},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};
use tokio::time::sleep_until;

use super::{aws, part};
use crate::brokers::Brokers;

const UNIT: Duration = Duration::from_secs(4);
const AT_ONCE: usize = 14;

/// FIFO, visibility timeout in units, maxReceiveCount, events.
type Case = (u8, u64, u32, String);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let client = Client::new(&aws::config(brokers).await?);
    let cases = inputs.iter().map(part).collect::<Result<Vec<Case>>>()?;
    let played = cases.into_iter().enumerate().map(|(number, case)| {
        let client = client.clone();
        async move {
            let history = play_one(&client, number, &case).await;
            history.with_context(|| format!("history {number}: {}", case.3))
        }
    });
    stream::iter(played).buffered(AT_ONCE).try_collect().await
}

fn real(units: u64) -> i32 {
    match units {
        0 => 0,
        n => (4 * n - 2).try_into().unwrap_or(i32::MAX),
    }
}

async fn play_one(client: &Client, number: usize, case: &Case) -> Result<Value> {
    let (fifo, timeout, limit, events) = case;
    let suffix = if *fifo == 1 { ".fifo" } else { "" };
    let dead = create(
        client,
        &format!("trace-visibility-dead-{number}{suffix}"),
        &[],
    )
    .await?;
    let mut attributes = vec![(
        QueueAttributeName::VisibilityTimeout,
        real(*timeout).to_string(),
    )];
    if *limit > 0 {
        let arn = aws::queue_arn(client, &dead).await?;
        let redrive = json!({ "deadLetterTargetArn": arn, "maxReceiveCount": limit });
        attributes.push((QueueAttributeName::RedrivePolicy, redrive.to_string()));
    }
    let name = format!("trace-visibility-{number}{suffix}");
    let mut history = History {
        client,
        queue: create(client, &name, &attributes).await?,
        fifo: *fifo == 1,
        clock: tokio::time::Instant::from_std(Instant::now()),
        hands: HashMap::new(),
    };
    let mut results = Vec::new();
    for event in events.split_whitespace() {
        results.push(
            history
                .play(event)
                .await
                .with_context(|| event.to_owned())?,
        );
    }
    let in_dead = drain(client, &dead).await?;
    for queue in [&history.queue, &dead] {
        client.delete_queue().queue_url(queue).send().await?;
    }
    Ok(json!([results, in_dead]))
}

async fn create(
    client: &Client,
    name: &str,
    attributes: &[(QueueAttributeName, String)],
) -> Result<String> {
    let mut create = client.create_queue().queue_name(name);
    for (name, value) in attributes {
        create = create.attributes(name.clone(), value);
    }
    if name.ends_with(".fifo") {
        create = create.attributes(QueueAttributeName::FifoQueue, "true");
    }
    create.send().await?.queue_url.context("no address")
}

struct History<'a> {
    client: &'a Client,
    queue: String,
    fifo: bool,
    /// The moment that the story has reached.
    clock: tokio::time::Instant,
    /// The newest handle of each message that each worker has.
    hands: HashMap<(char, String), String>,
}

impl History<'_> {
    async fn play(&mut self, event: &str) -> Result<String> {
        let (operation, rest) = event.split_at(1);
        match operation {
            "t" => {
                self.clock += UNIT * rest.parse()?;
                sleep_until(self.clock).await;
                return Ok(String::new());
            }
            "s" => return self.send(rest).await,
            _ => {}
        }
        let worker = rest.chars().next().context("no worker")?;
        let (id, units) = match rest[1..].split_once(':') {
            Some((id, units)) => (id, units.parse()?),
            None => (&rest[1..], 0),
        };
        match operation {
            "r" => self.receive(worker).await,
            "x" => {
                self.hands.retain(|(holder, _), _| *holder != worker);
                Ok(String::new())
            }
            "d" => {
                let Some(handle) = self.hands.remove(&(worker, id.to_owned())) else {
                    return Ok("none".to_owned());
                };
                let delete = self.client.delete_message().queue_url(&self.queue);
                answer(delete.receipt_handle(handle).send().await)
            }
            _ => {
                let Some(handle) = self.hands.get(&(worker, id.to_owned())) else {
                    return Ok("none".to_owned());
                };
                let change = self.client.change_message_visibility();
                let change = change.queue_url(&self.queue).receipt_handle(handle);
                answer(change.visibility_timeout(real(units)).send().await)
            }
        }
    }

    async fn send(&self, message: &str) -> Result<String> {
        let (id, group) = message.split_once(':').unwrap_or((message, ""));
        let mut send = self.client.send_message().queue_url(&self.queue);
        if self.fifo {
            send = send.message_group_id(group).message_deduplication_id(id);
        }
        send.message_body(id).send().await?;
        // Of a standard queue the model takes the oldest first, and two may have the same time.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(String::new())
    }

    async fn receive(&mut self, worker: char) -> Result<String> {
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let receive = self.client.receive_message().queue_url(&self.queue);
        let received = receive.message_system_attribute_names(count.clone());
        let messages = received.send().await?.messages.unwrap_or_default();
        let Some(message) = messages.into_iter().next() else {
            return Ok("-".to_owned());
        };
        let id = message.body.context("no body")?;
        let attributes = message.attributes.unwrap_or_default();
        let times = attributes.get(&count).cloned().unwrap_or_default();
        let handle = message.receipt_handle.context("no handle")?;
        self.hands.insert((worker, id.clone()), handle);
        Ok(format!("{id}#{times}"))
    }
}

/// `ok`, or the code of the error that the queue answered.
fn answer<T, E, R>(answered: Result<T, SdkError<E, R>>) -> Result<String>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    match answered {
        Ok(_) => Ok("ok".to_owned()),
        Err(error) => match error.as_service_error().and_then(|e| e.code()) {
            Some(code) => Ok(code.to_owned()),
            None => Err(error.into()),
        },
    }
}

async fn drain(client: &Client, queue: &str) -> Result<String> {
    let mut ids = Vec::new();
    loop {
        let receive = client.receive_message().queue_url(queue);
        let received = receive.max_number_of_messages(10).send().await?;
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            ids.sort();
            return Ok(ids.concat());
        }
        ids.extend(messages.into_iter().filter_map(|message| message.body));
    }
}
