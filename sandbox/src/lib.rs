//! Real brokers on this machine, without Docker: Apache Kafka, RabbitMQ, and LocalStack for SQS
//! and SNS.
//!
//! The binary keeps them running on their usual ports (`sandbox up`, `status`, `down`, see
//! [`commands`]). A test starts brokers of its own, which end with it:
//!
//! ```no_run
//! use sandbox::{Broker, Ports, Sandbox};
//!
//! let sandbox = Sandbox::start(&[Broker::Kafka], Ports::Free)?;
//! for (name, value) in sandbox.environment() {
//!     println!("{name}={value}");
//! }
//! sandbox.stop()?;
//! # anyhow::Ok(())
//! ```
//!
//! A [`Cluster`] has nodes that can be killed, paused and started again.
//!
//! What the brokers are made of is downloaded once, into `target/sandbox`, by the package managers
//! that verify it: Maven, apt, uv. Everything listens on 127.0.0.1 only. The data of a run is fresh
//! and goes with it.

#[cfg(not(target_os = "linux"))]
compile_error!("the sandbox runs on Linux (WSL included); elsewhere: docker compose up -d --wait");

mod broker;
mod cluster;
pub mod commands;
mod docker;
mod endpoints;
mod health;
mod http;
mod kafka;
mod launch;
mod layout;
mod localstack;
pub mod machine;
mod net;
mod ports;
mod prepare;
mod prerequisites;
mod private;
mod process;
mod progress;
mod rabbitmq;
mod random;
mod ready;
mod state;
pub mod tools;

pub use broker::{Broker, KAFKA_TOOLS_VERSION, KAFKA_VERSION, LOCALSTACK_VERSION, RABBITMQ_SERIES};
pub use cluster::Cluster;
pub use ports::Ports;
pub use private::Sandbox;
