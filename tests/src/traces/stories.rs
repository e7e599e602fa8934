//! Stories of a group: records are produced and read, members join, leave and are killed. After each
//! event who holds what, where the partitions end, and what is committed; after a kill also how long
//! nobody noticed.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::future::try_join_all;
use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{FutureProducer, FutureRecord},
    topic_partition_list::Offset,
};
use serde_json::{Value, json};

use super::{
    keys,
    members::{self, Process},
    part,
};
use crate::brokers::Brokers;

const ANSWER: Duration = Duration::from_secs(10);

/// Partitions, assignor, events as the model has them.
type Case = (i32, String, String);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let servers = brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?;
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()?;
    let cases = inputs.iter().map(part).collect::<Result<Vec<Case>>>()?;
    let topics: Vec<_> = (0..cases.len())
        .map(|n| format!("trace-stories.{n}"))
        .collect();
    keys::create(&admin, cases.iter().map(|case| case.0).zip(&topics)).await?;
    // All at once: most of the time they wait for the end of a session.
    let played = cases.into_iter().zip(&topics).map(|(case, topic)| {
        let (servers, topic) = (servers.to_owned(), topic.clone());
        let runtime = tokio::runtime::Handle::current();
        async move {
            let played = tokio::task::spawn_blocking(move || {
                let mut story = Story::begin(&servers, &topic, &case)?;
                story
                    .play(&case.2, &runtime)
                    .with_context(|| format!("{case:?}"))
            });
            played.await?
        }
    });
    let results = try_join_all(played).await?;
    let names: Vec<_> = topics.iter().map(String::as_str).collect();
    admin.delete_topics(&names, &AdminOptions::new()).await?;
    Ok(results)
}

struct Story {
    servers: String,
    topic: String,
    count: i32,
    assignor: String,
    producers: [FutureProducer; 2],
    watch: BaseConsumer,
    living: BTreeMap<String, Process>,
    /// Who was killed, and when.
    dead: BTreeMap<String, Instant>,
    /// Whether a rebalance waits for them.
    waits: bool,
}

impl Story {
    fn begin(servers: &str, topic: &str, (count, assignor, _): &Case) -> Result<Self> {
        let producer = |partitioner: &str| {
            ClientConfig::new()
                .set("bootstrap.servers", servers)
                .set("partitioner", partitioner)
                .set("message.timeout.ms", "30000")
                .create()
        };
        let watch = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", topic) // never joins
            .create()?;
        Ok(Self {
            servers: servers.to_owned(),
            topic: topic.to_owned(),
            count: *count,
            assignor: assignor.clone(),
            producers: [producer("consistent_random")?, producer("murmur2_random")?],
            watch,
            living: BTreeMap::new(),
            dead: BTreeMap::new(),
            waits: false,
        })
    }

    fn play(&mut self, events: &str, runtime: &tokio::runtime::Handle) -> Result<Value> {
        let mut results = Vec::new();
        for event in events.split_whitespace() {
            let waited = self
                .step(event, runtime)
                .with_context(|| event.to_owned())?;
            let mut result = self.state()?;
            result.extend(waited.map(Value::from));
            results.push(Value::from(result));
        }
        for (_, member) in std::mem::take(&mut self.living) {
            member.leave()?;
        }
        Ok(results.into())
    }

    /// What happens; after the end of a session the seconds since the kill.
    fn step(&mut self, event: &str, runtime: &tokio::runtime::Handle) -> Result<Option<u64>> {
        let (event, rest) = event.split_at(1);
        self.waits |= "+-".contains(event) && !self.dead.is_empty();
        match event {
            "+" => {
                let joined = Process::join(&self.servers, &self.topic, rest, &self.assignor)?;
                self.living.insert(rest.to_owned(), joined);
            }
            "-" => self
                .living
                .remove(rest)
                .context("no such member")?
                .leave()?,
            "!" => {
                self.living.remove(rest).context("no such member")?.kill()?;
                self.dead.insert(rest.to_owned(), Instant::now());
            }
            "~" => return self.wait_for_the_end_of_sessions(),
            "=" | "*" => {
                let producer = &self.producers[usize::from(event == "*")];
                let record = FutureRecord::to(&self.topic).key(rest).payload("x");
                let sent = runtime.block_on(producer.send(record, members::LIMIT));
                sent.map_err(|(error, _)| error)?;
            }
            _ => {
                for member in self.living.values_mut() {
                    member.read()?;
                }
            }
        }
        Ok(None)
    }

    /// The broker notices by itself: at rest is a group without those that were killed.
    fn wait_for_the_end_of_sessions(&mut self) -> Result<Option<u64>> {
        let killed = self.dead.values().min().copied();
        self.dead.clear();
        self.waits = false;
        let names: Vec<_> = self.living.keys().cloned().collect();
        members::at_rest(&self.watch, &self.topic, &names, self.count)?;
        Ok(killed.map(|killed| killed.elapsed().as_secs()))
    }

    /// Who holds what, ends, committed offsets.
    fn state(&self) -> Result<Vec<Value>> {
        let mut names: Vec<_> = self
            .living
            .keys()
            .chain(self.dead.keys())
            .cloned()
            .collect();
        names.sort();
        let held = match self.waits {
            true => members::in_a_rebalance(&self.watch, &self.topic)?,
            false => members::shown(&members::at_rest(
                &self.watch,
                &self.topic,
                &names,
                self.count,
            )?),
        };
        let mut asked = TopicPartitionList::new();
        let mut ends = Vec::new();
        for partition in 0..self.count {
            let (_, end) = self
                .watch
                .fetch_watermarks(&self.topic, partition, ANSWER)?;
            ends.push(end);
            asked.add_partition(&self.topic, partition);
        }
        let committed = self.watch.committed_offsets(asked, ANSWER)?;
        let offset = |partition| match committed.find_partition(&self.topic, partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        let committed: Vec<i64> = (0..self.count).map(|p| offset(p).unwrap_or(0)).collect();
        Ok(vec![held.into(), json!(ends), json!(committed)])
    }
}
