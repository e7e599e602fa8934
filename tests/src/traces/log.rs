//! What is left of a partition after retention or compaction, and where a reader begins.
//!
//! Days pass by dating the records back. The broker's own settings let it look every second.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    producer::{FutureProducer, FutureRecord},
};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::{members::LIMIT, part};
use crate::brokers::Brokers;

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// The broker looks every second; that it does nothing any more only time can tell.
const QUIET: Duration = Duration::from_secs(6);

/// Policy, days of retention (0 for ever), auto.offset.reset, events.
type Case = (String, i64, String, String);

pub async fn play(brokers: &Brokers, inputs: &[Value]) -> Result<Vec<Value>> {
    let servers = brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?;
    let cases = inputs.iter().map(part).collect::<Result<Vec<Case>>>()?;
    let played = cases.into_iter().enumerate().map(|(number, case)| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", servers);
        let runtime = Handle::current();
        async move {
            let played = tokio::task::spawn_blocking(move || {
                let log = Log::create(config, number, &case, &runtime)?;
                log.play(&case, &runtime)
                    .with_context(|| format!("{case:?}"))
            });
            played.await?
        }
    });
    try_join_all(played).await
}

struct Log {
    config: ClientConfig,
    topic: String,
    admin: AdminClient<DefaultClientContext>,
    producer: FutureProducer,
}

impl Log {
    fn create(config: ClientConfig, number: usize, case: &Case, runtime: &Handle) -> Result<Self> {
        let log = Self {
            topic: format!("trace-log.{number}"),
            admin: config.create()?,
            producer: { config.clone() }
                .set("message.timeout.ms", "30000")
                .create()?,
            config,
        };
        let settings = settings(&case.0, false, 0);
        let one = TopicReplication::Fixed(1);
        let topic = settings
            .iter()
            .fold(NewTopic::new(&log.topic, 1, one), |topic, (name, value)| {
                topic.set(name, value)
            });
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        for created in runtime.block_on(log.admin.create_topics([&topic], &options))? {
            created.map_err(|(topic, code)| anyhow::anyhow!("cannot create {topic}: {code}"))?;
        }
        Ok(log)
    }

    fn play(&self, (policy, days, reset, events): &Case, runtime: &Handle) -> Result<Value> {
        let events: Vec<&str> = events.split_whitespace().collect();
        let passing = |event: &&&str| event.starts_with('t');
        let total: i64 = events
            .iter()
            .filter(passing)
            .map(|e| days_of(e))
            .sum::<Result<_>>()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = i64::try_from(now.as_millis())?;
        let mut day = 0;
        let mut wanted = Vec::new();
        for event in events {
            match event.split_at(1) {
                ("+", record) => {
                    // An hour more, so that no age is near a limit.
                    let time = now - (total - day) * DAY - HOUR;
                    self.append(record, time, runtime)?;
                }
                ("t", _) => day += days_of(event)?,
                ("c", _) => self.clean(policy, runtime)?,
                (_, offset) => wanted.push(offset.parse()?),
            }
        }
        if policy == "delete" && *days > 0 {
            self.alter(&settings(policy, true, *days), runtime)?;
            self.wait_until_quiet()?;
        }
        let (start, end, records) = self.read_all()?;
        let reads = wanted
            .into_iter()
            .map(|offset| self.first(offset, reset, end));
        let reads = reads.collect::<Result<Vec<i64>>>()?;
        let deleted = self
            .admin
            .delete_topics(&[&self.topic], &AdminOptions::new());
        runtime.block_on(deleted)?;
        Ok(json!([start, end, records, reads]))
    }

    fn append(&self, record: &str, time: i64, runtime: &Handle) -> Result<()> {
        let (key, value) = match record.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (record, None),
        };
        let mut record = FutureRecord::to(&self.topic).key(key).timestamp(time);
        record.payload = value;
        let sent = runtime.block_on(self.producer.send(record, LIMIT));
        sent.map_err(|(error, _)| error)?;
        Ok(())
    }

    /// Lets the cleaner have the topic until it has done what there is to do.
    fn clean(&self, policy: &str, runtime: &Handle) -> Result<()> {
        if policy == "compact" {
            self.alter(&settings(policy, true, 0), runtime)?;
            self.wait_until_quiet()?;
            self.alter(&settings(policy, false, 0), runtime)?;
        }
        Ok(())
    }

    fn alter(&self, settings: &[(&str, String)], runtime: &Handle) -> Result<()> {
        let new = AlterConfig::new(ResourceSpecifier::Topic(&self.topic));
        let new = settings
            .iter()
            .fold(new, |new, (name, value)| new.set(name, value));
        let altered = self.admin.alter_configs([&new], &AdminOptions::new());
        for altered in runtime.block_on(altered)? {
            altered.map_err(|(_, code)| anyhow::anyhow!("cannot alter {}: {code}", self.topic))?;
        }
        Ok(())
    }

    fn wait_until_quiet(&self) -> Result<()> {
        let deadline = Instant::now() + 3 * LIMIT;
        let (mut last, mut since) = (self.read_all()?, Instant::now());
        while since.elapsed() < QUIET {
            ensure!(
                Instant::now() < deadline,
                "{} does not come to rest",
                self.topic
            );
            std::thread::sleep(Duration::from_millis(500));
            let now = self.read_all()?;
            if now != last {
                (last, since) = (now, Instant::now());
            }
        }
        Ok(())
    }

    /// The first and the next offset, and the records.
    fn read_all(&self) -> Result<(i64, i64, String)> {
        let consumer = self.reader("earliest")?;
        let (start, end) = consumer.fetch_watermarks(&self.topic, 0, LIMIT)?;
        let mut records = Vec::new();
        self.assign(&consumer, Offset::Beginning)?;
        while let Some((offset, text)) = next(&consumer)? {
            records.push(format!("{offset}:{text}"));
        }
        Ok((start, end, records.join(" ")))
    }

    /// The first offset that a reader gets who asks for one, or the end.
    fn first(&self, offset: i64, reset: &str, end: i64) -> Result<i64> {
        let consumer = self.reader(reset)?;
        self.assign(&consumer, Offset::Offset(offset))?;
        Ok(next(&consumer)?.map_or(end, |(offset, _)| offset))
    }

    fn reader(&self, reset: &str) -> Result<BaseConsumer> {
        let consumer = { self.config.clone() }
            .set("group.id", &self.topic) // never joins: it assigns itself
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", reset)
            .create()?;
        Ok(consumer)
    }

    fn assign(&self, consumer: &BaseConsumer, offset: Offset) -> Result<()> {
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(&self.topic, 0, offset)?;
        Ok(consumer.assign(&partition)?)
    }
}

/// The next record, or nothing at the end.
fn next(consumer: &BaseConsumer) -> Result<Option<(i64, String)>> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(record) => {
                let record = record?;
                let key = record.key_view::<str>().context("no key")??;
                let value = record
                    .payload_view::<str>()
                    .transpose()?
                    .unwrap_or_default();
                return Ok(Some((record.offset(), format!("{key}={value}"))));
            }
            None => ensure!(Instant::now() < deadline, "nothing to read, and no end"),
        }
    }
}

/// The topic's settings: at rest nothing is deleted or compacted.
fn settings(policy: &str, at_work: bool, days: i64) -> Vec<(&'static str, String)> {
    let retention = if days > 0 { days * DAY } else { -1 };
    let policy = if at_work { policy } else { "delete" };
    vec![
        ("cleanup.policy", policy.to_owned()),
        ("retention.ms", retention.to_string()),
        ("segment.ms", (DAY / 2).to_string()),
        ("min.cleanable.dirty.ratio", "0.01".to_owned()),
        ("delete.retention.ms", "0".to_owned()),
    ]
}

fn days_of(event: &str) -> Result<i64> {
    Ok(event[1..].parse()?)
}
