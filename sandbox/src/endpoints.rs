//! The addresses by which clients find the brokers, as environment variables.

use std::env;

use crate::broker::Broker;
use crate::ports::PortPlan;

pub(crate) const KAFKA: &str = "KAFKA_BOOTSTRAP_SERVERS";
pub(crate) const AMQP: &str = "AMQP_URL";
pub(crate) const AWS: &str = "AWS_ENDPOINT_URL";

/// What `up --nodes 3` prints for Kafka.
const KAFKA_CLUSTER: &str = "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094";

/// The variables that lead clients to a broker on these ports of 127.0.0.1.
pub(crate) fn variables(broker: Broker, ports: &PortPlan) -> Vec<(&'static str, String)> {
    match broker {
        Broker::Kafka => vec![(KAFKA, format!("127.0.0.1:{}", ports.kafka))],
        Broker::RabbitMq => vec![
            (
                AMQP,
                format!("amqp://guest:guest@127.0.0.1:{}/%2f", ports.amqp),
            ),
            (
                "RABBITMQ_MANAGEMENT_URL",
                format!("http://guest:guest@127.0.0.1:{}", ports.management),
            ),
        ],
        Broker::LocalStack => {
            let mut variables = vec![(AWS, format!("http://127.0.0.1:{}", ports.localstack))];
            variables.extend(aws_account());
            variables
        }
    }
}

/// The variables that lead clients to a cluster: all nodes of Kafka, the first node of RabbitMQ.
pub(crate) fn of_cluster(broker: Broker, ports: &[PortPlan]) -> Vec<(&'static str, String)> {
    if broker == Broker::Kafka {
        let nodes = ports
            .iter()
            .map(|ports| format!("127.0.0.1:{}", ports.kafka));
        return vec![(KAFKA, nodes.collect::<Vec<_>>().join(","))];
    }
    let first = ports.first();
    first.map_or_else(Vec::new, |first| variables(broker, first))
}

/// LocalStack takes any credentials; the clients want some.
fn aws_account() -> Vec<(&'static str, String)> {
    vec![
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_ACCESS_KEY_ID", "test".into()),
        ("AWS_SECRET_ACCESS_KEY", "test".into()),
    ]
}

/// The endpoint that the user has set for a broker. The sandbox's own usual address is not one:
/// `.cargo/config.toml` sets it, and so does who pasted what `up` printed.
pub(crate) fn from_user(broker: Broker) -> Option<String> {
    from_user_in(broker, |name| env::var(name).ok())
}

fn from_user_in(broker: Broker, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (name, usual) = variables(broker, &PortPlan::USUAL).into_iter().next()?;
    let value = variable(name)?.trim().trim_end_matches('/').to_owned();
    let own = value
        .replace("localhost", "127.0.0.1")
        .replace("guest:guest@", "");
    let usual = usual.replace("guest:guest@", "");
    // Of a cluster on the usual ports Kafka's list names more nodes.
    let is_cluster = broker == Broker::Kafka && own == KAFKA_CLUSTER;
    let is_own =
        own.eq_ignore_ascii_case(&usual) || own == usual.trim_end_matches("/%2f") || is_cluster;
    (!value.is_empty() && !is_own).then_some(value)
}

/// The host and port of an endpoint without credentials, for messages and for connecting.
/// `None` when there is no host in it.
pub(crate) fn host_and_port(endpoint: &str, default_port: u16) -> Option<(String, u16)> {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next()?;
    let address = authority
        .rsplit_once('@')
        .map_or(authority, |(_, address)| address);
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (address, default_port),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ports::Ports;

    fn user(broker: Broker, value: &str) -> Option<String> {
        from_user_in(broker, |_| Some(value.to_owned()))
    }

    #[test]
    fn the_sandboxs_own_addresses_are_not_the_users() {
        for broker in Broker::ALL {
            let usual = variables(broker, &PortPlan::USUAL).remove(0).1;
            assert_eq!(user(broker, &usual), None, "{usual}");
        }
        assert_eq!(user(Broker::LocalStack, "http://localhost:4566"), None);
        assert_eq!(user(Broker::LocalStack, "http://localhost:4566/"), None);
        assert_eq!(user(Broker::Kafka, "localhost:9092"), None);
        let cluster = PortPlan::choose_many(Ports::Usual, &HashSet::new(), 3).unwrap();
        let (_, cluster) = of_cluster(Broker::Kafka, &cluster).remove(0);
        assert_eq!(user(Broker::Kafka, &cluster), None, "{cluster}");
        assert_eq!(user(Broker::RabbitMq, "amqp://localhost:5672"), None);
        assert_eq!(user(Broker::Kafka, "  "), None);
        assert_eq!(from_user_in(Broker::Kafka, |_| None), None);
    }

    #[test]
    fn other_addresses_are_the_users() {
        let other = "kafka.example:9092";
        assert_eq!(user(Broker::Kafka, other).as_deref(), Some(other));
        let other = "http://localhost:14566";
        assert_eq!(user(Broker::LocalStack, other).as_deref(), Some(other));
    }

    #[test]
    fn an_address_is_read_without_its_credentials() {
        let cases = [
            (
                "amqp://user:p@ss@rabbit.example:5673/%2f",
                Some(("rabbit.example", 5673)),
            ),
            ("amqp://rabbit.example", Some(("rabbit.example", 5672))),
            ("amqp://[::1]/", Some(("::1", 5672))),
            ("amqp://[::1]:99/", Some(("::1", 99))),
            ("127.0.0.1:19092", Some(("127.0.0.1", 19092))),
            ("amqp://", None),
            ("host:port", None),
        ];
        for (endpoint, expected) in cases {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(host_and_port(endpoint, 5672), expected, "{endpoint}");
        }
    }
}
