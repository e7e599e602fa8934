//! Things of somebody else beside each program, whose names begin as the program's own: a topic with
//! records and a group with its offset, a queue with messages, an exchange with its binding, a policy,
//! a topic with its subscription. A program deletes exact names of its own only, so it leaves them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use guide::examples::{Example, Kind};
use lapin::{
    BasicProperties, Channel, Connection, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use regex::Regex;
use sandbox::{Broker, machine::scaled};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::{
    brokers::Brokers,
    record,
    traces::{amqp, aws},
};

/// How long a broker may take for one answer.
const LIMIT: Duration = Duration::from_secs(30);
/// How long RabbitMQ may take to count what is in a queue: it does so now and then only.
const COUNTED: Duration = Duration::from_secs(15);
const AT_ONCE: usize = 8;

/// What every neighbour's name ends with.
const NEIGHBOUR: &str = "neighbour";
/// What is in a neighbour's topic or queue.
const RECORDS: [&str; 3] = ["order 1", "order 2", "order 3"];
/// Where a neighbour's group has come to in its topic.
const COMMITTED: i64 = 2;

type Producing = ThreadedProducer<DefaultProducerContext>;

/// All neighbours of the programs that were given, in their brokers.
pub struct Neighbours {
    of: BTreeMap<String, Names>,
    kafka: String,
    /// For each program with transactions a producer that must not be fenced off.
    transactional: BTreeMap<String, Arc<Producing>>,
    /// Made for neighbours of RabbitMQ programs only.
    amqp: Option<Connection>,
    management: String,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    http: ureq::Agent,
}

/// The names beside one program, and the brokers in which they are.
struct Names {
    brokers: Vec<Broker>,
    names: Vec<String>,
    has_transactions: bool,
    publishes: bool,
}

/// The names beside a program: for its own name, and for each name in its text, one that begins so.
fn beside(example: &Example) -> Result<Vec<String>> {
    let separator = match record::needs(example).contains(&Broker::LocalStack) {
        true => "-",
        false => ".",
    };
    let prefix = example.name.replace('_', "-");
    // A name in SQS or SNS has no dot: that of `x.fifo` ends before it.
    let name = Regex::new(&format!(
        "{prefix}{}[a-z0-9]+(?:[.-][a-z0-9]+)*",
        regex::escape(separator)
    ))?;
    let text = example.program();
    let own = name.find_iter(&text).map(|found| found.as_str());
    let own = own.map(|name| match separator {
        "-" => name.split('.').next().unwrap_or(name),
        _ => name,
    });
    let stems: BTreeSet<&str> = own.chain([prefix.as_str()]).collect();
    let names = stems
        .iter()
        .map(|stem| format!("{stem}{separator}{NEIGHBOUR}"));
    let mut names: Vec<String> = names.collect();
    if example.kind == Kind::Transcript {
        // Kafka's tool takes the name of a topic to delete for a regular expression.
        let dotted = stems.iter().filter(|stem| stem.contains('.'));
        names.extend(dotted.map(|stem| stem.replace('.', "-")));
    }
    Ok(names)
}

impl Names {
    fn of(example: &Example) -> Result<Self> {
        Ok(Self {
            brokers: record::needs(example),
            names: beside(example)?,
            has_transactions: example.program().contains("\"transactional.id\""),
            publishes: example.program().contains("aws_sdk_sns"),
        })
    }
}

impl Neighbours {
    /// Puts the neighbours of `examples` into the brokers.
    ///
    /// # Errors
    /// A broker does not take one.
    pub async fn settle(examples: &[&Example], brokers: &Brokers) -> Result<Self> {
        let mut of = BTreeMap::new();
        for example in examples.iter().filter(|example| example.kind != Kind::Test) {
            of.insert(example.name.clone(), Names::of(example)?);
        }
        let has_rabbitmq = of
            .values()
            .any(|names| names.brokers.contains(&Broker::RabbitMq));
        let config = aws::config(brokers).await?;
        let mut neighbours = Self {
            of,
            kafka: brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?.to_owned(),
            transactional: BTreeMap::new(),
            amqp: match has_rabbitmq {
                true => Some(amqp::connect(brokers).await?),
                false => None,
            },
            management: brokers.variable("RABBITMQ_MANAGEMENT_URL")?.to_owned(),
            sqs: aws_sdk_sqs::Client::new(&config),
            sns: aws_sdk_sns::Client::new(&config),
            http: ureq::Agent::config_builder()
                .proxy(None)
                .timeout_global(Some(LIMIT))
                .http_status_as_error(false)
                .build()
                .new_agent(),
        };
        let (transactional, (), ()) = tokio::try_join!(
            neighbours.put_into_kafka(),
            neighbours.put_into_rabbitmq(),
            neighbours.put_into_aws()
        )
        .context("cannot put neighbours beside the programs")?;
        neighbours.transactional = transactional;
        Ok(neighbours)
    }

    /// The names of all neighbours.
    pub fn names(&self) -> BTreeSet<String> {
        let names = self.of.values().flat_map(|of| of.names.iter().cloned());
        names.collect()
    }

    /// Finds the neighbours of a program as they were.
    ///
    /// # Errors
    /// One is gone, or what was in it is; the message names each.
    pub async fn are_untouched(&self, program: &str) -> Result<()> {
        let of = self.of.get(program).context("it has no neighbours")?;
        let mut harm = Vec::new();
        for broker in &of.brokers {
            let found = match broker {
                Broker::Kafka => self.harm_in_kafka(program, of).await?,
                Broker::RabbitMq => self.harm_in_rabbitmq(of).await?,
                Broker::LocalStack => self.harm_in_aws(of).await?,
            };
            harm.extend(found);
        }
        ensure!(
            harm.is_empty(),
            "it touched what is not its own, whose name begins as its own do: {}; let it delete \
             exact names only",
            harm.join("; ")
        );
        Ok(())
    }

    /// Removes all neighbours, each by its name: the brokers may be somebody's.
    ///
    /// # Errors
    /// A broker does not answer.
    pub async fn leave(&self) -> Result<()> {
        let (kafka, rabbitmq, aws) = (
            self.all(Broker::Kafka),
            self.all(Broker::RabbitMq),
            self.all(Broker::LocalStack),
        );
        if !kafka.is_empty() {
            let (admin, options) = (self.admin()?, AdminOptions::new());
            let names: Vec<&str> = kafka.iter().map(|(name, _)| name.as_str()).collect();
            admin.delete_groups(&names, &options).await?;
            admin.delete_topics(&names, &options).await?;
        }
        if let Some(connection) = &self.amqp {
            let channel = connection.create_channel().await?;
            for (name, _) in rabbitmq {
                channel
                    .queue_delete(name.as_str().into(), Default::default())
                    .await?;
                channel
                    .exchange_delete(name.as_str().into(), Default::default())
                    .await?;
                self.http.delete(self.policy(&name)).call()?;
            }
        }
        for (name, publishes) in aws {
            let url = self.sqs.get_queue_url().queue_name(&name).send().await?;
            let url = url.queue_url().context("SQS gave no queue URL")?;
            if publishes {
                // Creating one that exists returns it.
                let topic = self.sns.create_topic().name(&name).send().await?;
                let topic = topic.topic_arn.context("SNS gave no topic ARN")?;
                self.sns.delete_topic().topic_arn(topic).send().await?;
            }
            self.sqs.delete_queue().queue_url(url).send().await?;
        }
        Ok(())
    }

    /// The names in a broker, and whether a topic of SNS belongs to each.
    fn all(&self, broker: Broker) -> Vec<(String, bool)> {
        let of = self.of.values().filter(|of| of.brokers.contains(&broker));
        let names = of.flat_map(|of| of.names.iter().map(|name| (name.clone(), of.publishes)));
        names.collect()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka);
        config
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }

    /// A topic with records, a group that has read some of them, and for a program with transactions a
    /// producer with a transactional id.
    async fn put_into_kafka(&self) -> Result<BTreeMap<String, Arc<Producing>>> {
        let names: Vec<String> = self
            .all(Broker::Kafka)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        let mut transactional = BTreeMap::new();
        if names.is_empty() {
            return Ok(transactional);
        }
        let topic = |name| NewTopic::new(name, 1, TopicReplication::Fixed(1));
        let topics: Vec<NewTopic> = names.iter().map(|name| topic(name)).collect();
        for created in self
            .admin()?
            .create_topics(&topics, &AdminOptions::new())
            .await?
        {
            created.map_err(|(name, code)| Error::msg(format!("creating {name}: {code}")))?;
        }
        for (program, of) in &self.of {
            if of.has_transactions {
                let mut config = self.client();
                config.set("transactional.id", &of.names[0]);
                config.set("transaction.timeout.ms", "600000");
                transactional.insert(program.clone(), Arc::new(config.create()?));
            }
        }
        let config = self.client();
        let begun = transactional.clone();
        spawn_blocking(move || {
            let producer: Producing = config.create()?;
            for (name, record) in names
                .iter()
                .flat_map(|name| RECORDS.map(|record| (name, record)))
            {
                send(&producer, name, record)?;
            }
            producer.flush(LIMIT)?;
            begun
                .values()
                .try_for_each(|producer| producer.init_transactions(LIMIT))?;
            let commits = names.into_iter().map(|name| commit(config.clone(), name));
            in_threads(commits.collect())
        })
        .await??;
        Ok(transactional)
    }

    async fn harm_in_kafka(&self, program: &str, of: &Names) -> Result<Vec<String>> {
        let (names, config) = (of.names.clone(), self.client());
        let last = of.names[0].clone();
        let transactional = self.transactional.get(program).cloned();
        spawn_blocking(move || {
            let mut harm = Vec::new();
            for name in names {
                let mut config = config.clone();
                let group: BaseConsumer = config.set("group.id", &name).create()?;
                let end = i64::try_from(RECORDS.len())?;
                match group.fetch_watermarks(&name, 0, LIMIT) {
                    Ok((0, high)) if high == end => {}
                    Ok((low, high)) => harm.push(format!("topic {name} holds {low}..{high}")),
                    Err(error) => harm.push(format!("topic {name}: {error}")),
                }
                let mut asked = TopicPartitionList::new();
                asked.add_partition(&name, 0);
                let committed = group.committed_offsets(asked, LIMIT)?;
                let offset = committed
                    .find_partition(&name, 0)
                    .map(|found| found.offset());
                if offset != Some(Offset::Offset(COMMITTED)) {
                    harm.push(format!("group {name} has committed {offset:?}"));
                }
                drop(committed); // before its consumer, which waits for it
            }
            // A producer that was fenced off learns it when it commits.
            if let Some(producer) = transactional
                && let Err(error) = one_more(&producer, &last)
            {
                harm.push(format!("transactional id {last}: {error:#}"));
            }
            Ok(harm)
        })
        .await?
    }

    /// An exchange that is bound to a queue with messages, and a policy.
    async fn put_into_rabbitmq(&self) -> Result<()> {
        let Some(connection) = &self.amqp else {
            return Ok(());
        };
        let channel = amqp::channel(connection).await?;
        for (name, _) in self.all(Broker::RabbitMq) {
            declare(&channel, &name).await?;
            for record in RECORDS {
                let published = amqp::publish(
                    &channel,
                    &name,
                    "",
                    record,
                    BasicProperties::default(),
                    true,
                );
                ensure!(
                    published.await? == (false, true),
                    "{name} did not take a message"
                );
            }
            let policy = json!({
                "pattern": format!("^{}$", name.replace('.', "\\.")),
                "definition": {"max-length": 1000},
                "apply-to": "queues",
                "priority": 1,
            });
            let answer = self.http.put(self.policy(&name)).send_json(policy)?;
            ensure!(
                answer.status().is_success(),
                "policy {name}: {}",
                answer.status()
            );
        }
        Ok(())
    }

    fn policy(&self, name: &str) -> String {
        format!("{}/api/policies/%2F/{name}", self.management)
    }

    async fn harm_in_rabbitmq(&self, of: &Names) -> Result<Vec<String>> {
        let deadline = Instant::now() + scaled(COUNTED);
        loop {
            let harm = self.harm_in_rabbitmq_now(of)?;
            if harm.is_empty() || Instant::now() > deadline {
                return Ok(harm);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn harm_in_rabbitmq_now(&self, of: &Names) -> Result<Vec<String>> {
        let mut harm = Vec::new();
        for name in &of.names {
            let queue = self.ask(&format!("queues/%2F/{name}"))?;
            if queue["messages"] != json!(RECORDS.len()) || queue["policy"] != json!(name) {
                let (messages, policy) = (&queue["messages"], &queue["policy"]);
                harm.push(format!(
                    "queue {name} holds {messages} messages under policy {policy}"
                ));
            }
            let bindings = self.ask(&format!("exchanges/%2F/{name}/bindings/source"))?;
            let bound = bindings.as_array().into_iter().flatten();
            if bound
                .filter(|binding| binding["destination"] == json!(name))
                .count()
                != 1
            {
                harm.push(format!("exchange {name} is not bound any more"));
            }
        }
        Ok(harm)
    }

    /// What the management API answers; null for what is gone.
    fn ask(&self, path: &str) -> Result<Value> {
        let mut answer = self
            .http
            .get(format!("{}/api/{path}", self.management))
            .call()?;
        match answer.status().as_u16() {
            200 => Ok(answer.body_mut().read_json()?),
            404 => Ok(Value::Null),
            other => bail!("GET {path}: {other}"),
        }
    }

    /// A queue with messages, and beside programs of SNS a topic that is subscribed to it.
    async fn put_into_aws(&self) -> Result<()> {
        let all = self.all(Broker::LocalStack);
        let settled = all.iter().map(|(name, publishes)| async move {
            let queue = self.sqs.create_queue().queue_name(name).send().await?;
            let url = queue.queue_url().context("SQS gave no queue URL")?;
            for record in RECORDS {
                self.sqs
                    .send_message()
                    .queue_url(url)
                    .message_body(record)
                    .send()
                    .await?;
            }
            if *publishes {
                let topic = self.sns.create_topic().name(name).send().await?;
                let topic = topic.topic_arn.context("SNS gave no topic ARN")?;
                let arn = aws::queue_arn(&self.sqs, url).await?;
                let subscribing = self.sns.subscribe().topic_arn(topic).protocol("sqs");
                subscribing.endpoint(arn).send().await?;
            }
            Ok(())
        });
        stream::iter(settled)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn harm_in_aws(&self, of: &Names) -> Result<Vec<String>> {
        let mut harm = Vec::new();
        for name in &of.names {
            let asked = self.sqs.get_queue_url().queue_name(name).send().await;
            match asked.map(|queue| queue.queue_url) {
                Ok(Some(url)) => {
                    let found = self.messages(&url).await?;
                    if found
                        != RECORDS
                            .map(|record| (record.to_owned(), "1".to_owned()))
                            .into()
                    {
                        harm.push(format!("queue {name} holds {found:?} (message, receives)"));
                    }
                }
                Ok(None) => harm.push(format!("queue {name} has no URL")),
                Err(error) => {
                    let error = error.into_service_error();
                    harm.push(format!("queue {name}: {error}"));
                }
            }
        }
        if of.publishes {
            let mut pages = self
                .sns
                .list_subscriptions()
                .into_paginator()
                .items()
                .send();
            let mut subscribed = BTreeSet::new();
            while let Some(subscription) = pages.next().await {
                let subscription = subscription?;
                let ends = [subscription.topic_arn(), subscription.endpoint()];
                subscribed.insert(ends.map(|arn| {
                    let name = arn.unwrap_or_default().rsplit(':').next();
                    name.unwrap_or_default().to_owned()
                }));
            }
            let is_gone =
                |name: &&String| !subscribed.contains(&[name.to_string(), name.to_string()]);
            harm.extend(
                of.names
                    .iter()
                    .filter(is_gone)
                    .map(|name| format!("topic {name}: no subscription")),
            );
        }
        Ok(harm)
    }

    /// The messages of a queue, each with the number of times that it was received before and now. They
    /// stay visible.
    async fn messages(&self, url: &str) -> Result<BTreeMap<String, String>> {
        use aws_sdk_sqs::types::MessageSystemAttributeName::ApproximateReceiveCount;
        let mut found = BTreeMap::new();
        // A receive may return fewer than there are.
        for _ in 0..2 {
            let asked = self
                .sqs
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(10);
            let asked = asked
                .visibility_timeout(5)
                .message_system_attribute_names(ApproximateReceiveCount);
            for message in asked.send().await?.messages.unwrap_or_default() {
                let count = message
                    .attributes()
                    .and_then(|all| all.get(&ApproximateReceiveCount));
                let count = count.cloned().unwrap_or_default();
                found.insert(message.body.unwrap_or_default(), count);
            }
        }
        Ok(found)
    }
}

fn send(producer: &Producing, topic: &str, record: &str) -> Result<()> {
    loop {
        match producer.send(BaseRecord::<(), str>::to(topic).payload(record)) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// Sends a record in a transaction.
fn one_more(producer: &Producing, topic: &str) -> Result<()> {
    producer.begin_transaction()?;
    send(producer, topic, "order 4")?;
    Ok(producer.commit_transaction(LIMIT)?)
}

/// Lets the group of a topic's name commit that it has read two records.
fn commit(mut config: ClientConfig, name: String) -> impl FnOnce() -> Result<()> + Send {
    move || {
        let group: BaseConsumer = config.set("group.id", &name).create()?;
        let mut read = TopicPartitionList::new();
        read.add_partition_offset(&name, 0, Offset::Offset(COMMITTED))?;
        let deadline = Instant::now() + LIMIT;
        // The coordinator may be loading.
        while let Err(error) = group.commit(&read, CommitMode::Sync) {
            ensure!(Instant::now() < deadline, "group {name}: {error}");
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(())
    }
}

fn in_threads(mut work: Vec<impl FnOnce() -> Result<()> + Send>) -> Result<()> {
    while !work.is_empty() {
        let some = work.split_off(work.len().saturating_sub(AT_ONCE));
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.into_iter().map(|work| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| match thread.join() {
                    Ok(done) => done,
                    Err(_) => bail!("a thread panicked"),
                })
        })?;
    }
    Ok(())
}

async fn declare(channel: &Channel, name: &str) -> Result<()> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .exchange_declare(
            name.into(),
            ExchangeKind::Fanout,
            options,
            Default::default(),
        )
        .await?;
    let options = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel
        .queue_declare(name.into(), options, Default::default())
        .await?;
    channel
        .queue_bind(
            name.into(),
            name.into(),
            "".into(),
            QueueBindOptions::default(),
            Default::default(),
        )
        .await?;
    Ok(())
}
