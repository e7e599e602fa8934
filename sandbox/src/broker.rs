//! The three brokers and the versions they are pinned to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The version of Apache Kafka, from Maven Central and as image.
pub const KAFKA_VERSION: &str = "4.4.0";
/// The version of Kafka's command-line tools from Maven Central, where those of 4.4 are missing.
pub const KAFKA_TOOLS_VERSION: &str = "4.3.1";
/// The oldest series of RabbitMQ that the guide holds for; its exact version is asked at run time.
pub const RABBITMQ_SERIES: &str = "4.3";
/// The version of LocalStack (SQS and SNS), from PyPI and as image.
pub const LOCALSTACK_VERSION: &str = "4.12.0";

/// A broker that the sandbox can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Broker {
    Kafka,
    RabbitMq,
    LocalStack,
}

impl Broker {
    /// Every broker, in the order in which they are printed.
    pub const ALL: [Self; 3] = [Self::Kafka, Self::RabbitMq, Self::LocalStack];

    /// The name on the command line, which is also the service's name in docker-compose.yml.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::RabbitMq => "rabbitmq",
            Self::LocalStack => "localstack",
        }
    }

    /// The name in a sentence.
    pub fn title(self) -> &'static str {
        match self {
            Self::Kafka => "Apache Kafka",
            Self::RabbitMq => "RabbitMQ",
            Self::LocalStack => "LocalStack",
        }
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Broker {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        Self::ALL
            .into_iter()
            .find(|broker| broker.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                anyhow::anyhow!("there is no broker '{name}': choose from {names}")
            })
    }
}
