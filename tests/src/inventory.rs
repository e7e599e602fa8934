//! What exists in the brokers by name, to find what a program left behind or named wrongly.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aws_config::timeout::TimeoutConfig;
use guide::examples::{Example, System};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};
use sandbox::machine::scaled;
use tokio::runtime::Handle;

use crate::brokers::Brokers;

/// How long a broker may take for one answer.
const LIMIT: Duration = Duration::from_secs(5);

/// One thing with a name: a topic, a queue, a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// "Kafka topic", "SQS queue", ...
    pub kind: &'static str,
    /// Its name as the program gave it.
    pub name: String,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The program that a name belongs to: a name begins with its program's, then a dot or a hyphen,
/// then says what the thing is. `kafka_groups` may make `kafka-groups.truck-positions`. Of two
/// programs that fit, the one with the longer name.
pub fn owner<'a>(named: &Named, programs: &'a [String]) -> Option<&'a str> {
    // Kafka wants this before the name of a share group's dead-letter topic.
    let name = named.name.strip_prefix("dlq.").unwrap_or(&named.name);
    let fits = |program: &&String| {
        let rest = name.strip_prefix(&program.replace('_', "-"));
        rest.is_some_and(|rest| rest.starts_with(['.', '-']))
    };
    let owner = programs.iter().filter(fits).max_by_key(|name| name.len());
    owner.map(String::as_str)
}

/// Asks every broker for what exists in it.
pub struct Inventory {
    kafka: BaseConsumer,
    rabbitmq: String,
    sqs: aws_sdk_sqs::Client,
    sns: aws_sdk_sns::Client,
    http: ureq::Agent,
    /// Names that are nobody's whom this is about.
    neighbours: BTreeSet<String>,
}

impl Inventory {
    /// Connects to the brokers. What has one of the names `neighbours` is left out of every list: it
    /// stands beside the programs.
    ///
    /// # Errors
    /// An address is missing or is none.
    pub async fn new(brokers: &Brokers, neighbours: BTreeSet<String>) -> Result<Self> {
        let kafka = ClientConfig::new()
            .set(
                "bootstrap.servers",
                brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?,
            )
            .create()?;
        let credentials = aws_sdk_sqs::config::Credentials::new(
            brokers.variable("AWS_ACCESS_KEY_ID")?,
            brokers.variable("AWS_SECRET_ACCESS_KEY")?,
            None,
            None,
            "the tests' brokers",
        );
        let aws = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .endpoint_url(brokers.variable("AWS_ENDPOINT_URL")?)
            .region(aws_config::Region::new(
                brokers.variable("AWS_REGION")?.to_owned(),
            ))
            .credentials_provider(credentials)
            .timeout_config(TimeoutConfig::builder().operation_timeout(LIMIT).build())
            .load()
            .await;
        Ok(Self {
            kafka,
            rabbitmq: brokers.variable("RABBITMQ_MANAGEMENT_URL")?.to_owned(),
            sqs: aws_sdk_sqs::Client::new(&aws),
            sns: aws_sdk_sns::Client::new(&aws),
            http: ureq::Agent::config_builder()
                .timeout_global(Some(LIMIT))
                .build()
                .new_agent(),
            neighbours,
        })
    }

    /// Everything that has a name and is not the broker's own.
    ///
    /// # Errors
    /// A broker does not answer.
    pub async fn all(&self) -> Result<BTreeSet<Named>> {
        let mut all = self.of(System::Kafka).await?;
        all.extend(self.of(System::RabbitMq).await?);
        all.extend(self.of(System::Sns).await?);
        Ok(all)
    }

    /// The same for the broker of one system. SQS and SNS share theirs.
    async fn of(&self, system: System) -> Result<BTreeSet<Named>> {
        let mut all = BTreeSet::new();
        match system {
            System::Kafka => self.kafka(&mut all),
            System::RabbitMq => self.rabbitmq(&mut all),
            System::Sqs | System::Sns => self.aws(&mut all).await,
        }
        .with_context(|| format!("cannot list what the broker of {} holds", system.name()))?;
        all.retain(|named| !self.neighbours.contains(&named.name));
        Ok(all)
    }

    /// Waits until nothing exists any more that belongs to `example`, one of `programs`.
    ///
    /// # Errors
    /// After 10 s, longer on a slow machine, something is left, or its broker does not answer.
    pub async fn wait_for_none_of(&self, example: &Example, programs: &[String]) -> Result<()> {
        let deadline = Instant::now() + scaled(Duration::from_secs(10));
        loop {
            // A pattern may leave something on either side of a bridge.
            let seen = match example.crate_folder.as_str() {
                "patterns" => self.all().await,
                _ => self.of(example.system()).await,
            };
            // A coordinator that is still loading is an error that passes.
            let problem = match seen {
                Ok(all) => left_of(&example.name, &all, programs),
                Err(error) => Some(format!("{error:#}")),
            };
            let Some(problem) = problem else {
                return Ok(());
            };
            ensure!(Instant::now() < deadline, "{problem}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn kafka(&self, all: &mut BTreeSet<Named>) -> Result<()> {
        for topic in self.kafka.fetch_metadata(None, LIMIT)?.topics() {
            if !topic.name().starts_with("__") {
                all.insert(named("Kafka topic", topic.name()));
            }
        }
        for group in self.kafka.fetch_group_list(None, LIMIT)?.groups() {
            all.insert(named("Kafka group", group.name()));
        }
        Ok(())
    }

    fn rabbitmq(&self, all: &mut BTreeSet<Named>) -> Result<()> {
        for (kind, path) in [
            ("RabbitMQ queue", "queues"),
            ("RabbitMQ exchange", "exchanges"),
            ("RabbitMQ policy", "policies"),
            ("RabbitMQ virtual host", "vhosts"),
            ("RabbitMQ user", "users"),
        ] {
            let list: Vec<serde_json::Value> = self
                .http
                .get(format!("{}/api/{path}", self.rabbitmq))
                .call()?
                .body_mut()
                .read_json()?;
            for name in list.iter().filter_map(|entry| entry["name"].as_str()) {
                let own =
                    name.is_empty() || name.starts_with("amq.") || ["/", "guest"].contains(&name);
                if !own {
                    all.insert(named(kind, name));
                }
            }
        }
        Ok(())
    }

    async fn aws(&self, all: &mut BTreeSet<Named>) -> Result<()> {
        let mut queues = self
            .sqs
            .list_queues()
            .max_results(1000)
            .into_paginator()
            .items()
            .send();
        while let Some(url) = queues.next().await {
            let url = url?;
            all.insert(named("SQS queue", url.rsplit('/').next().unwrap_or(&url)));
        }
        let mut topics = self.sns.list_topics().into_paginator().items().send();
        while let Some(topic) = topics.next().await {
            let topic = topic?;
            let arn = topic.topic_arn().unwrap_or_default();
            all.insert(named("SNS topic", arn.rsplit(':').next().unwrap_or(arn)));
        }
        let mut subscriptions = self
            .sns
            .list_subscriptions()
            .into_paginator()
            .items()
            .send();
        while let Some(subscription) = subscriptions.next().await {
            let subscription = subscription?;
            // A subscription has no name of its own: its topic's stands for it.
            let arn = subscription.topic_arn().unwrap_or_default();
            all.insert(named(
                "SNS subscription to",
                arn.rsplit(':').next().unwrap_or(arn),
            ));
        }
        Ok(())
    }
}

fn named(kind: &'static str, name: &str) -> Named {
    Named {
        kind,
        name: name.to_owned(),
    }
}

/// What is left of a program's things, as an error text.
fn left_of(program: &str, all: &BTreeSet<Named>, programs: &[String]) -> Option<String> {
    let left = all
        .iter()
        .filter(|named| owner(named, programs) == Some(program));
    let left: Vec<String> = left.map(Named::to_string).collect();
    let problem = format!("it left behind: {}; delete it at the end", left.join(", "));
    (!left.is_empty()).then_some(problem)
}

/// Looks again and again, from a thread of its own, and remembers everything it has seen.
pub struct Watch {
    stopping: Arc<AtomicBool>,
    thread: JoinHandle<Result<BTreeSet<Named>>>,
}

impl Watch {
    /// Begins to look.
    pub fn start(inventory: Arc<Inventory>, runtime: Handle) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = stopping.clone();
        let thread = thread::spawn(move || {
            let mut seen = BTreeSet::new();
            loop {
                let last = stop.load(Ordering::Relaxed);
                match runtime.block_on(inventory.all()) {
                    Ok(all) => seen.extend(all),
                    // A group's coordinator may be loading. What is true lasts for one more look.
                    Err(error) if last => return Err(error),
                    Err(_) => {}
                }
                if last {
                    return Ok(seen);
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        Self { stopping, thread }
    }

    /// Looks a last time and returns all that was ever there.
    ///
    /// # Errors
    /// The last look failed: a broker does not answer.
    pub fn stop(self) -> Result<BTreeSet<Named>> {
        self.stopping.store(true, Ordering::Relaxed);
        match self.thread.join() {
            Ok(seen) => seen,
            Err(_) => bail!("the thread that watches the brokers panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_belongs_to_the_program_whose_name_it_begins_with() {
        let programs = ["kafka_groups".to_owned(), "kafka_groups_list".to_owned()];
        let owner = |name| owner(&named("Kafka topic", name), &programs);
        assert_eq!(owner("kafka-groups.truck-positions"), Some("kafka_groups"));
        assert_eq!(owner("kafka-groups-list.orders"), Some("kafka_groups_list"));
        assert_eq!(owner("kafka-groups"), None);
        assert_eq!(owner("truck-positions"), None);
    }
}
