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
once, into target/sandbox, and their data goes with `down`.";

#[derive(Subcommand)]
enum Command {
    /// Start brokers on their usual ports; prints the endpoints as lines to paste
    Up { brokers: Vec<String> },
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
        Command::Up { brokers } => commands::up(&commands::brokers(brokers)?).map(|()| true),
        Command::Status { brokers } => commands::status(&commands::brokers(brokers)?),
        Command::Down { brokers } => commands::down(&commands::brokers(brokers)?).map(|()| true),
    }
}
