//! Filter policies: which messages a subscription with each policy gets, and which policies SNS refuses.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aws_sdk_sns::types::MessageAttributeValue;
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Map, Value, json};

use super::{aws, part};
use crate::brokers::Brokers;

const AT_ONCE: usize = 10;
const LIMIT: Duration = Duration::from_secs(60);

/// The number of a message in its body.
const NUMBER: &str = "_";

struct Clients {
    sns: aws_sdk_sns::Client,
    sqs: aws_sdk_sqs::Client,
}

pub async fn play(
    brokers: &Brokers,
    head: &mut Map<String, Value>,
    inputs: &[Value],
) -> Result<Vec<Value>> {
    let config = aws::config(brokers).await?;
    let clients = Clients {
        sns: aws_sdk_sns::Client::new(&config),
        sqs: aws_sdk_sqs::Client::new(&config),
    };
    let cases = inputs
        .iter()
        .map(part)
        .collect::<Result<Vec<(String, Value)>>>()?;
    let mut results = vec![Value::Null; cases.len()];
    for scope in ["attributes", "arrays", "body"] {
        let of = |scope: &str| {
            let cases = cases.iter().enumerate().filter(|(_, case)| case.0 == scope);
            cases
                .map(|(index, case)| (index, &case.1))
                .collect::<Vec<_>>()
        };
        let messages: Vec<Map<String, Value>> = part(&head["messages"][scope])?;
        let topic = clients
            .sns
            .create_topic()
            .name(format!("trace-filter-{scope}"));
        let topic = topic.send().await?.topic_arn.context("no ARN")?;
        let policies = of(scope);
        let delivered = clients.deliver(&topic, scope, &policies, &messages).await?;
        for ((index, _), row) in policies.iter().zip(delivered) {
            results[*index] = row.into();
        }
        for (index, policy) in of(&format!("{scope}-refused")) {
            let refused = clients.refuses(&topic, scope, policy).await;
            results[index] = u8::from(refused).into();
        }
        clients.sns.delete_topic().topic_arn(&topic).send().await?;
    }
    let pairs = results.iter().filter_map(|row| Some(row.as_str()?.len()));
    head.insert("count".to_owned(), pairs.sum::<usize>().into());
    Ok(results)
}

impl Clients {
    /// For each policy which of the messages came: `1` or `0` for each.
    async fn deliver(
        &self,
        topic: &str,
        scope: &str,
        policies: &[(usize, &Value)],
        messages: &[Map<String, Value>],
    ) -> Result<Vec<String>> {
        let mut queues = Vec::new();
        for (index, policy) in policies {
            queues.push(self.subscribe(topic, scope, *index, policy).await?);
        }
        // Gets everything: what has come here has come, or not, everywhere else.
        let all = self.subscribe(topic, scope, usize::MAX, &json!({})).await?;
        for (number, message) in messages.iter().enumerate() {
            self.publish(topic, scope, number, message).await?;
        }
        let everything = self.drain(&all, messages.len(), messages.len()).await?;
        ensure!(
            !everything.contains('0'),
            "not every message came: {everything}"
        );
        let rows = queues
            .iter()
            .map(|queue| self.drain(queue, messages.len(), 0));
        let rows: Vec<String> = stream::iter(rows).buffered(AT_ONCE).try_collect().await?;
        for queue in queues.iter().chain([&all]) {
            self.sqs.delete_queue().queue_url(queue).send().await?;
        }
        Ok(rows)
    }

    async fn subscribe(
        &self,
        topic: &str,
        scope: &str,
        index: usize,
        policy: &Value,
    ) -> Result<String> {
        let create = self
            .sqs
            .create_queue()
            .queue_name(format!("trace-filter-{index}"));
        let queue = create.send().await?.queue_url.context("no address")?;
        let arn = aws::queue_arn(&self.sqs, &queue).await?;
        self.subscription(topic, scope, policy, &arn).send().await?;
        Ok(queue)
    }

    fn subscription(
        &self,
        topic: &str,
        scope: &str,
        policy: &Value,
        queue: &str,
    ) -> aws_sdk_sns::operation::subscribe::builders::SubscribeFluentBuilder {
        let scope = match scope {
            "body" => "MessageBody",
            _ => "MessageAttributes",
        };
        self.sns
            .subscribe()
            .topic_arn(topic)
            .protocol("sqs")
            .endpoint(queue)
            .attributes("FilterPolicy", policy.to_string())
            .attributes("FilterPolicyScope", scope)
            .attributes("RawMessageDelivery", "true")
    }

    async fn refuses(&self, topic: &str, scope: &str, policy: &Value) -> bool {
        let nowhere = "arn:aws:sqs:us-east-1:000000000000:trace-filter-none";
        let subscribe = self.subscription(topic, scope, policy, nowhere);
        subscribe.send().await.is_err()
    }

    async fn publish(
        &self,
        topic: &str,
        scope: &str,
        number: usize,
        message: &Map<String, Value>,
    ) -> Result<()> {
        let mut body = Map::new();
        let mut publish = self.sns.publish().topic_arn(topic);
        if scope == "body" {
            body = message.clone();
        } else {
            for (name, value) in message {
                publish = publish.message_attributes(name, attribute(value)?);
            }
        }
        body.insert(NUMBER.to_owned(), number.into());
        publish
            .message(Value::from(body).to_string())
            .send()
            .await?;
        Ok(())
    }

    /// The numbers of the messages in a queue, once at least `least` have come and no more come.
    async fn drain(&self, queue: &str, count: usize, least: usize) -> Result<String> {
        let mut got = BTreeSet::new();
        let deadline = Instant::now() + LIMIT;
        let mut empty = 0;
        while empty < 2 || got.len() < least {
            ensure!(Instant::now() < deadline, "{} of {least} came", got.len());
            let receive = self.sqs.receive_message().queue_url(queue);
            let receive = receive.max_number_of_messages(10).wait_time_seconds(1);
            let messages = receive.send().await?.messages.unwrap_or_default();
            empty = if messages.is_empty() { empty + 1 } else { 0 };
            for message in messages {
                let body: Value = serde_json::from_str(&message.body.unwrap_or_default())?;
                got.insert(body[NUMBER].as_u64().context("somebody else's message")?);
            }
        }
        let mark = |n: usize| if got.contains(&(n as u64)) { '1' } else { '0' };
        Ok((0..count).map(mark).collect())
    }
}

fn attribute(value: &Value) -> Result<MessageAttributeValue> {
    let (kind, text) = match value {
        Value::String(text) => ("String", text.clone()),
        Value::Array(_) => ("String.Array", value.to_string()),
        _ => ("Number", value.to_string()),
    };
    let attribute = MessageAttributeValue::builder().data_type(kind);
    Ok(attribute.string_value(text).build()?)
}
