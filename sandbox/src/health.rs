//! What a broker says about itself, as lines of a label and a value.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::broker::Broker;
use crate::endpoints::{host_and_port, variables};
use crate::ports::PortPlan;
use crate::{http, kafka, localstack, net, rabbitmq};

/// Label and value.
pub(crate) type Lines = Vec<(&'static str, String)>;

const LIMIT: Duration = Duration::from_secs(5);

/// Asks the broker on the usual ports of this machine.
pub(crate) fn check_usual(broker: Broker) -> Result<Lines> {
    let ports = PortPlan::USUAL;
    match broker {
        Broker::Kafka => kafka::probe(ports.kafka).map(cluster_lines),
        Broker::RabbitMq => {
            let node = rabbitmq::probe(&ports)?;
            Ok(vec![
                ("version", node.version),
                ("node", node.name),
                ("listeners", node.listeners.join(", ")),
            ])
        }
        Broker::LocalStack => {
            let (_, url) = variables(broker, &ports).remove(0);
            localstack::health(&url).map(localstack_lines)
        }
    }
}

/// Asks the broker at the endpoint that the user has set.
pub(crate) fn check_users(broker: Broker, endpoint: &str) -> Result<Lines> {
    match broker {
        Broker::Kafka => check_bootstrap_servers(endpoint).map(cluster_lines),
        Broker::RabbitMq => check_amqp(endpoint),
        Broker::LocalStack => check_aws(endpoint),
    }
}

/// The first server of the list that answers.
fn check_bootstrap_servers(servers: &str) -> Result<kafka::wire::Cluster> {
    let mut failures = Vec::new();
    for server in servers.split(',') {
        let answer = host_and_port(server.trim(), 9092)
            .with_context(|| format!("'{}' is not HOST:PORT", server.trim()))
            .and_then(|(host, port)| kafka::wire::describe(&host, port, LIMIT));
        match answer {
            Ok(cluster) => return Ok(cluster),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    bail!("{}", failures.join("; "))
}

fn check_amqp(url: &str) -> Result<Lines> {
    let is_encrypted = url.starts_with("amqps:");
    let default_port = if is_encrypted { 5671 } else { 5672 };
    let (host, port) = host_and_port(url, default_port)
        .context("AMQP_URL is not amqp://USER:PASSWORD@HOST:PORT/VHOST")?;
    if is_encrypted {
        net::connect(&host, port, LIMIT)?;
        return Ok(vec![(
            "checked",
            "that the port opens (the rest is encrypted)".into(),
        )]);
    }
    let greeting = rabbitmq::amqp::greet(&host, port, LIMIT)?;
    Ok(vec![
        (
            "version",
            format!("{} {}", greeting.product, greeting.version),
        ),
        ("cluster", greeting.cluster),
    ])
}

/// LocalStack's health, or any answer by HTTP: other emulators have no health.
fn check_aws(url: &str) -> Result<Lines> {
    if let Ok(health) = localstack::health(url) {
        return Ok(localstack_lines(health));
    }
    let answer = http::agent(LIMIT)
        .get(url)
        .call()
        .with_context(|| format!("GET {url}"))?;
    Ok(vec![(
        "answers",
        format!("HTTP {}, not LocalStack", answer.status()),
    )])
}

fn cluster_lines(cluster: kafka::wire::Cluster) -> Lines {
    let mut lines = vec![("cluster id", cluster.id)];
    for node in cluster.nodes {
        let role = if node.id == cluster.controller {
            ", controller"
        } else {
            ""
        };
        lines.push((
            "broker",
            format!("node {} at {}:{}{role}", node.id, node.host, node.port),
        ));
    }
    lines
}

fn localstack_lines(health: localstack::Health) -> Lines {
    let services: Vec<_> = health
        .services
        .iter()
        .map(|(name, state)| format!("{name} {state}"))
        .collect();
    vec![
        ("version", health.version),
        ("services", services.join(", ")),
    ]
}
