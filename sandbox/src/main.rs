//! Real brokers on this machine: `sandbox up`, `status`, `down`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use sandbox::commands;

#[derive(Parser)]
#[command(version, about, long_about = LONG_ABOUT)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const LONG_ABOUT: &str = "Real brokers on this machine, without Docker.

BROKERS are kafka, rabbitmq, localstack (SQS and SNS); none means all of them.

`up` takes each broker from the first that applies: the endpoint that the environment names
(KAFKA_BOOTSTRAP_SERVERS, AMQP_URL, AWS_ENDPOINT_URL); a Docker engine that answers, with
docker-compose.yml; processes of its own, which listen on 127.0.0.1 only. It downloads those
once, into target/sandbox, and their data goes with `down`.

`up --nodes 3 kafka` starts a cluster of processes of its own on ports 9092, 9093 and 9094;
`up --nodes 3 rabbitmq` on 5672, 5673 and 5674, with management on 15672, 15673 and 15674.
`status` tells the process of each node: kill it (kill -9 PID), pause it (kill -STOP PID) and let
it go on (kill -CONT PID). Another `up --nodes 3` starts nodes that have ended, with their data.";

#[derive(Subcommand)]
enum Command {
    /// Start brokers on their usual ports; prints the endpoints as lines to paste
    Up {
        /// 1 or 3; three nodes of kafka or rabbitmq can be killed and paused one by one
        #[arg(long, default_value_t = 1)]
        nodes: usize,
        brokers: Vec<String>,
    },
    /// Tell how the brokers are; the exit code is 0 only if all of them are up
    Status { brokers: Vec<String> },
    /// End what `up` has started, and what a killed sandbox left
    Down { brokers: Vec<String> },
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<bool> {
    match command {
        Command::Up { nodes, brokers } => {
            commands::up(&commands::brokers(brokers)?, *nodes).map(|()| true)
        }
        Command::Status { brokers } => commands::status(&commands::brokers(brokers)?),
        Command::Down { brokers } => commands::down(&commands::brokers(brokers)?).map(|()| true),
    }
}
