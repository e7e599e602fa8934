//! Standing in the way of a program: ports where no broker answers, credentials that are wrong.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use guide::examples::System;
use sandbox::machine::scaled;
use tokio::net::{TcpListener, TcpSocket};

use crate::{brokers::Brokers, program::Run};

/// How long a program may take on a usual machine to say that it cannot reach its broker.
const LIMIT: Duration = Duration::from_secs(10);
/// What stands in every secret that a program is given here. It must never print it.
const SECRET: &str = "never-to-be-printed";

/// How long a program may take on this machine to say that it cannot reach its broker.
pub fn limit() -> Duration {
    scaled(LIMIT)
}

/// What is wrong with the broker, seen from the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing listens at the address.
    ClosedPort,
    /// Something accepts the connection and says nothing.
    SilentPort,
    /// The broker refuses the password.
    WrongPassword,
    /// There are no credentials to sign a request with.
    NoCredentials,
}

impl Fault {
    /// The faults that a system's programs can meet. Neither this Kafka nor the AWS emulator
    /// checks credentials, so they have no wrong ones.
    pub fn of(system: System) -> &'static [Fault] {
        match system {
            System::RabbitMq => &[Fault::ClosedPort, Fault::SilentPort, Fault::WrongPassword],
            System::Sqs | System::Sns => {
                &[Fault::ClosedPort, Fault::SilentPort, Fault::NoCredentials]
            }
            System::Kafka => &[Fault::ClosedPort, Fault::SilentPort],
        }
    }

    /// The fault's name as part of a test's.
    pub fn name(self) -> &'static str {
        match self {
            Fault::ClosedPort => "closed_port",
            Fault::SilentPort => "silent_port",
            Fault::WrongPassword => "wrong_password",
            Fault::NoCredentials => "no_credentials",
        }
    }
}

/// Two ports at which no broker answers, kept for as long as this lives.
pub struct Ports {
    closed: SocketAddr,
    silent: SocketAddr,
    _bound: TcpSocket,
    _listening: TcpListener,
}

impl Ports {
    /// Takes two free ports of the loopback interface.
    ///
    /// # Errors
    /// There is none.
    pub fn new() -> Result<Self> {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        // Bound and never listening: nobody else can take the port, and connecting is refused.
        let bound = TcpSocket::new_v4()?;
        bound.bind(any)?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(any)?;
        // The system completes the connections; nobody takes them from the backlog.
        let listening = socket.listen(4096)?;
        Ok(Self {
            closed: bound.local_addr()?,
            silent: listening.local_addr()?,
            _bound: bound,
            _listening: listening,
        })
    }
}

/// A program's environment with a fault in it, and the address that its error must name.
pub struct Scene {
    /// The variables.
    pub variables: Vec<(String, String)>,
    address: String,
}

impl Scene {
    /// Puts `fault` between a program of `system` and its broker.
    ///
    /// # Errors
    /// The brokers have no address for the system.
    pub fn new(fault: Fault, system: System, ports: &Ports, brokers: &Brokers) -> Result<Self> {
        let address = match fault {
            Fault::ClosedPort => ports.closed.to_string(),
            Fault::SilentPort => ports.silent.to_string(),
            Fault::WrongPassword | Fault::NoCredentials => broker_address(system, brokers)?,
        };
        let mut variables = match system {
            System::Kafka => vec![("KAFKA_BOOTSTRAP_SERVERS", address.clone())],
            System::RabbitMq => vec![("AMQP_URL", format!("amqp://guest:{SECRET}@{address}/%2f"))],
            System::Sqs | System::Sns => vec![
                ("AWS_ENDPOINT_URL", format!("http://{address}")),
                ("AWS_REGION", "us-east-1".to_owned()),
                // Else the credential chain ends with a call to an address of the cloud.
                ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ],
        };
        if matches!(system, System::Sqs | System::Sns) && fault != Fault::NoCredentials {
            variables.push(("AWS_ACCESS_KEY_ID", "test".to_owned()));
            variables.push(("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()));
        }
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        Ok(Self {
            variables: variables.into_iter().map(owned).collect(),
            address,
        })
    }

    /// Holds a run against the contract: exit code 1 in time, and a first line that names the
    /// address, never a secret, and says how to start a broker.
    ///
    /// # Errors
    /// The first breach, with what the program said.
    pub fn judge(&self, run: &Run) -> Result<()> {
        let said = &run.complained;
        let first = said.lines().next().unwrap_or_default();
        let code = run.code;
        ensure!(
            code == Some(1),
            "exit code {code:?} instead of 1; it said:\n{said}"
        );
        ensure!(
            run.took < limit(),
            "took {:.1} s; at most {:.1} s on this machine",
            run.took.as_secs_f32(),
            limit().as_secs_f32()
        );
        for part in [
            self.address.as_str(),
            "docker compose up -d --wait",
            "cargo run --bin sandbox -- up",
        ] {
            ensure!(
                first.contains(part),
                "the first line has no {part:?}; it said:\n{said}"
            );
        }
        let silent = !said.contains(SECRET) && !run.printed.contains(SECRET);
        ensure!(silent, "it printed the secret:\n{said}{}", run.printed);
        Ok(())
    }
}

/// Host and port of the broker that a system's programs use.
fn broker_address(system: System, brokers: &Brokers) -> Result<String> {
    let variable = match system {
        System::Kafka => "KAFKA_BOOTSTRAP_SERVERS",
        System::RabbitMq => "AMQP_URL",
        System::Sqs | System::Sns => "AWS_ENDPOINT_URL",
    };
    let value = brokers.variable(variable)?;
    let after_scheme = value.split("://").last().unwrap_or(value);
    let after_login = after_scheme.split('@').next_back().unwrap_or(after_scheme);
    let address = after_login.split('/').next().context("no address")?;
    Ok(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(code: i32, said: &str) -> Run {
        Run {
            printed: String::new(),
            complained: said.to_owned(),
            code: Some(code),
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn a_good_error_names_the_address_and_the_way_to_a_broker() {
        let scene = Scene {
            variables: Vec::new(),
            address: "127.0.0.1:9".to_owned(),
        };
        let good = "Error: cannot use Kafka at 127.0.0.1:9; to start one: docker compose up -d \
                    --wait, or cargo run --bin sandbox -- up\n\nCaused by: refused\n";
        assert!(scene.judge(&run(1, good)).is_ok());
        assert!(scene.judge(&run(101, good)).is_err());
        assert!(scene.judge(&run(1, &good.replace(":9", ":8"))).is_err());
        assert!(scene.judge(&run(1, &good.replace("sandbox", "x"))).is_err());
        assert!(scene.judge(&run(1, &format!("{good}{SECRET}"))).is_err());
        assert!(scene.judge(&run(1, &format!("\n{good}"))).is_err());
        let mut slow = run(1, good);
        slow.took = limit();
        assert!(scene.judge(&slow).is_err());
    }
}
