//! Which ports the brokers get.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::process::listener_on;

/// Which ports a [`Sandbox`](crate::Sandbox) takes, always on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The ports that clients try by default: 9092, 5672 and 15672, 4566.
    Usual,
    /// Ports that are free now.
    Free,
}

/// The ports of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PortPlan {
    pub kafka: u16,
    pub kafka_controller: u16,
    pub amqp: u16,
    pub management: u16,
    pub erlang_distribution: u16,
    pub epmd: u16,
    pub localstack: u16,
}

impl PortPlan {
    /// The usual ports; those that no client sees are zero until [`PortPlan::choose`] fills them.
    pub const USUAL: Self = Self {
        kafka: 9092,
        kafka_controller: 0,
        amqp: 5672,
        management: 15672,
        erlang_distribution: 0,
        epmd: 0,
        localstack: 4566,
    };

    /// Chooses ports that are free and not in `reserved`.
    pub fn choose(ports: Ports, reserved: &HashSet<u16>) -> Result<Self> {
        let [
            kafka,
            amqp,
            management,
            localstack,
            kafka_controller,
            erlang_distribution,
            epmd,
        ] = free_ports(reserved)?;
        let inner = Self {
            kafka_controller,
            erlang_distribution,
            epmd,
            ..Self::USUAL
        };
        Ok(match ports {
            Ports::Usual => inner,
            Ports::Free => Self {
                kafka,
                amqp,
                management,
                localstack,
                ..inner
            },
        })
    }

    /// Chooses ports for the nodes of one cluster. With [`Ports::Usual`] the first node has the
    /// usual ones and each further node those that follow: 9093, 5673 and 15673, and so on.
    pub fn choose_many(ports: Ports, reserved: &HashSet<u16>, nodes: usize) -> Result<Vec<Self>> {
        let mut reserved = reserved.clone();
        let mut plans: Vec<Self> = Vec::new();
        for node in 0..nodes {
            let mut plan = Self::choose(ports, &reserved)?;
            if ports == Ports::Usual {
                let step = u16::try_from(node)?;
                plan.kafka += step;
                plan.amqp += step;
                plan.management += step;
            }
            // All nodes of RabbitMQ find each other by one.
            plan.epmd = plans.first().map_or(plan.epmd, |first| first.epmd);
            reserved.extend(plan.all());
            plans.push(plan);
        }
        Ok(plans)
    }

    pub fn all(&self) -> [u16; 7] {
        [
            self.kafka,
            self.kafka_controller,
            self.amqp,
            self.management,
            self.erlang_distribution,
            self.epmd,
            self.localstack,
        ]
    }

    /// The ports that clients of a broker connect to.
    pub fn client_ports(&self, broker: Broker) -> Vec<u16> {
        match broker {
            Broker::Kafka => vec![self.kafka],
            Broker::RabbitMq => vec![self.amqp, self.management],
            Broker::LocalStack => vec![self.localstack],
        }
    }

    /// An error that names who has a port that the broker needs.
    pub fn require_free(&self, broker: Broker) -> Result<()> {
        for port in self.client_ports(broker) {
            if let Some(owner) = owner_of(port) {
                bail!(
                    "{broker} needs port {port} of 127.0.0.1, which {owner} has: end that process, \
                     or set the endpoint in the environment if it is the broker you want"
                );
            }
        }
        Ok(())
    }
}

/// Who has a port; `None` when it is free. A process that is being killed can't be named any more
/// and still has its ports for a moment.
fn owner_of(port: u16) -> Option<String> {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !is_free(port) {
        if let Some((pid, name)) = listener_on(port) {
            return Some(format!("process {pid} ({name})"));
        }
        if Instant::now() > deadline {
            return Some("a process that this user may not see".into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Below the range from which the system takes the ports of outgoing connections: nothing else
/// can get a port between this choice and the broker's start.
const RANGE: std::ops::Range<u16> = 10_240..32_000;

fn free_ports<const N: usize>(reserved: &HashSet<u16>) -> Result<[u16; N]> {
    let mut usual: HashSet<u16> = PortPlan::USUAL.all().into();
    // Those of the further nodes of a cluster on the usual ports.
    usual.extend([1, 2].map(|step| PortPlan::USUAL.management + step));
    // Begins somewhere else each time: two workspaces don't know each other's reservations.
    let offset = RandomState::new().hash_one(std::process::id());
    let width = u64::from(RANGE.end - RANGE.start);
    let mut candidates = (0..width)
        .map(|step| RANGE.start + u16::try_from((offset % width + step) % width).unwrap_or(0))
        .filter(|port| !reserved.contains(port) && !usual.contains(port) && is_free(*port));
    let mut chosen = [0; N];
    for port in &mut chosen {
        match candidates.next() {
            Some(free) => *port = free,
            None => bail!("no free port between {} and {}", RANGE.start, RANGE.end),
        }
    }
    Ok(chosen)
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_distinct_and_not_reserved() {
        let first = PortPlan::choose(Ports::Free, &HashSet::new()).unwrap();
        let reserved: HashSet<u16> = first.all().into();
        assert_eq!(reserved.len(), 7, "{first:?}");
        let second = PortPlan::choose(Ports::Free, &reserved).unwrap();
        assert!(
            second.all().iter().all(|port| !reserved.contains(port)),
            "{second:?}"
        );
    }

    #[test]
    fn a_taken_port_is_reported_with_its_owner() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plan = PortPlan {
            kafka: port,
            ..PortPlan::USUAL
        };
        let error = plan.require_free(Broker::Kafka).unwrap_err().to_string();
        let this = format!("process {} (", std::process::id());
        assert!(
            error.contains(&format!("port {port}")) && error.contains(&this),
            "{error}"
        );
    }
}
