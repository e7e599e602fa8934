//! The brokers of the experiments: started once and used by those that follow each other.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use sandbox::{Broker, Cluster, Ports, Sandbox, machine::scaled};
use tokio::runtime::{Handle, Runtime};

/// What an experiment runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// One node of Kafka.
    OneKafka,
    /// Three nodes of Kafka as they are by default: a broker is dead after 9 s of silence.
    ThreeKafka,
    /// Three nodes of Kafka that find a broker dead after 3 s, so that experiments are short.
    QuickKafka,
    /// One node of RabbitMQ.
    OneRabbitMq,
    /// Three nodes of RabbitMQ.
    ThreeRabbitMq,
    /// LocalStack, an emulator of SQS.
    LocalStack,
}

/// Settings of a broker: names and values.
type Settings = &'static [(&'static str, &'static str)];

impl On {
    fn cluster(self) -> Option<(Broker, usize, Settings)> {
        let quick: Settings = &[
            ("broker.session.timeout.ms", "3000"),
            ("broker.heartbeat.interval.ms", "500"),
        ];
        match self {
            Self::OneKafka => Some((Broker::Kafka, 1, &[])),
            Self::ThreeKafka => Some((Broker::Kafka, 3, &[])),
            Self::QuickKafka => Some((Broker::Kafka, 3, quick)),
            Self::OneRabbitMq => Some((Broker::RabbitMq, 1, &[])),
            Self::ThreeRabbitMq => Some((Broker::RabbitMq, 3, &[])),
            Self::LocalStack => None,
        }
    }

    /// The client library that the experiment uses.
    pub fn client(self) -> &'static str {
        match self {
            Self::OneKafka | Self::ThreeKafka | Self::QuickKafka => "rdkafka",
            Self::OneRabbitMq | Self::ThreeRabbitMq => "lapin",
            Self::LocalStack => "aws-sdk-sqs",
        }
    }
}

/// Brokers, and a runtime for the clients that need one.
pub struct Lab {
    /// The program that a client which will be killed is a process of.
    pub worker: PathBuf,
    /// Never shut down: a connection of lapin that hangs in its recovery would panic.
    runtime: &'static Runtime,
    cluster: Option<(On, Cluster)>,
    localstack: Option<Sandbox>,
    version: String,
}

impl Lab {
    /// A laboratory without brokers; they start when an experiment needs them.
    ///
    /// # Errors
    /// No runtime can be made.
    pub fn new(worker: PathBuf) -> Result<Self> {
        Ok(Self {
            worker,
            runtime: Box::leak(Box::new(Runtime::new()?)),
            cluster: None,
            localstack: None,
            version: String::new(),
        })
    }

    /// A whole cluster: that of the experiment before, mended, if it is of the same kind.
    ///
    /// # Errors
    /// The cluster does not start, or nodes do not come back.
    pub fn cluster(&mut self, on: On) -> Result<&mut Cluster> {
        let (broker, nodes, settings) = on.cluster().context("this broker has no nodes")?;
        if self.cluster.as_ref().is_some_and(|(other, _)| *other != on) {
            self.end_cluster()?;
        }
        let mut cluster = match self.cluster.take() {
            Some((_, cluster)) => cluster,
            None => Cluster::start(broker, nodes, settings)?,
        };
        cluster.mend()?;
        self.version = cluster.version().to_owned();
        Ok(&mut self.cluster.insert((on, cluster)).1)
    }

    /// Ends the cluster: the next experiment gets a new one.
    ///
    /// # Errors
    /// A node does not end.
    pub fn end_cluster(&mut self) -> Result<()> {
        self.cluster.take().map_or(Ok(()), |(_, c)| c.stop())
    }

    /// The variables that lead AWS's clients to an emulator.
    ///
    /// # Errors
    /// It does not start.
    pub fn localstack(&mut self) -> Result<Vec<(&'static str, String)>> {
        self.end_cluster()?;
        let sandbox = match self.localstack.take() {
            Some(sandbox) => sandbox,
            None => Sandbox::start(&[Broker::LocalStack], Ports::Free)?,
        };
        let version = sandbox.version(Broker::LocalStack);
        self.version = version.unwrap_or_default().to_owned();
        Ok(self.localstack.insert(sandbox).environment())
    }

    /// The name and version of the broker that was used last.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where asynchronous clients run.
    pub fn runtime(&self) -> Handle {
        self.runtime.handle().clone()
    }
}

/// Waits for something asynchronous.
///
/// # Errors
/// It fails, or it is not done within the limit.
pub fn wait<T>(
    runtime: &Handle,
    what: &str,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let limit = scaled(limit);
    runtime
        .block_on(async { tokio::time::timeout(limit, work).await })
        .with_context(|| format!("not within {} s: {what}", limit.as_secs()))?
}
