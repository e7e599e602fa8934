//! Measures `kafka_throughput` against Kafka's own load tools, in turn on one broker.

use std::{
    process::{Command, ExitCode},
    str::FromStr,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sandbox::Broker;
use tests::brokers::Brokers;

/// Measures `kafka_throughput` against Kafka's own load tools, in turn on one broker.
///
/// The same records: 100 bytes, three partitions, acks=all. Rates of one machine compare within one
/// run only, so what counts are the ratios: ours by theirs, round by round.
#[derive(Parser)]
struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How many records are sent and read each time.
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
}

const PROGRAM: &str = "kafka_throughput";
const TOPIC: &str = "throughput-log-lines";

/// Records per second of one round.
struct Round {
    tool_producer: f64,
    tool_consumer: f64,
    threaded: f64,
    futures: f64,
    consumer: f64,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throughput: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.rounds > 0,
        "--rounds 0 measures nothing; take 1 or more"
    );
    let root = tests::root();
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--example", PROGRAM])
        .current_dir(&root)
        .status()?;
    ensure!(
        built.success(),
        "{PROGRAM} does not build; cargo said why above"
    );
    let brokers = Brokers::start_these(&[Broker::Kafka])?;
    let bench = Bench {
        brokers: &brokers,
        records: arguments.records.to_string(),
        program: target(&root).join("release/examples").join(PROGRAM),
    };
    bench.round().context("warming up")?; // a cold broker would measure the first tool only
    let mut rounds = Vec::new();
    for number in 1..=arguments.rounds {
        let round = bench.round()?;
        println!(
            "round {number}: tools {:.0} in, {:.0} out; threaded {:.0}, futures {:.0}, consumer {:.0}",
            round.tool_producer, round.tool_consumer, round.threaded, round.futures, round.consumer
        );
        rounds.push(round);
    }
    print_ratio("threaded producer", &rounds, |r| {
        r.threaded / r.tool_producer
    });
    print_ratio("futures", &rounds, |r| r.futures / r.tool_producer);
    print_ratio("consumer", &rounds, |r| r.consumer / r.tool_consumer);
    Ok(())
}

fn target(root: &std::path::Path) -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |t| root.join(t))
}

fn print_ratio(what: &str, rounds: &[Round], ratio: impl Fn(&Round) -> f64) {
    let mut ratios: Vec<f64> = rounds.iter().map(ratio).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    println!("{what}: {median:.2} times the tool's rate ({least:.2} to {most:.2})");
}

struct Bench<'a> {
    brokers: &'a Brokers,
    records: String,
    program: std::path::PathBuf,
}

impl Bench<'_> {
    fn round(&self) -> Result<Round> {
        let broker = self.brokers.variable("KAFKA_BOOTSTRAP_SERVERS")?;
        let server = ["--bootstrap-server", broker, "--topic", TOPIC];
        self.run(
            "kafka-topics.sh",
            &[&server[..], &["--create", "--partitions", "3"]].concat(),
        )?;
        let sent = self.run(
            "kafka-producer-perf-test.sh",
            &[
                &server[..],
                &["--num-records", &self.records, "--record-size", "100"],
                &["--throughput", "-1", "--command-property", "acks=all"],
            ]
            .concat(),
        )?;
        let last = sent.lines().rev().find(|line| line.contains("records/sec"));
        let tool_producer = before(last.context("the tool told no rate")?, " records/sec")?;
        let read = self.run(
            "kafka-consumer-perf-test.sh",
            &[&server[..], &["--num-records", &self.records]].concat(),
        )?;
        let last = read.lines().last().context("the tool told no rate")?;
        let column = last
            .split(", ")
            .nth(5)
            .context("the tool's table has changed")?;
        let tool_consumer = column.trim().parse()?;
        self.run("kafka-topics.sh", &[&server[..], &["--delete"]].concat())?;

        let ours = self.run(&self.program.to_string_lossy(), &[&self.records])?;
        let rate = |who: &str| -> Result<f64> {
            let mut lines = ours.lines().skip_while(|line| !line.starts_with(who));
            let line = lines.nth(1).with_context(|| format!("no rate of {who}"))?;
            before(line, " a second")
        };
        Ok(Round {
            tool_producer,
            tool_consumer,
            threaded: rate("threaded")?,
            futures: rate("futures")?,
            consumer: rate("consumer")?,
        })
    }

    fn run(&self, command: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(command)
            .args(arguments)
            .envs(self.brokers.variables().iter().cloned())
            .output()
            .with_context(|| format!("cannot start {command}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command} failed:\n{said}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The number before a text.
fn before<T: FromStr>(line: &str, text: &str) -> Result<T> {
    let number = line
        .split_once(text)
        .and_then(|(left, _)| left.split([' ', ',']).next_back());
    let number = number.and_then(|number| number.parse().ok());
    number.with_context(|| format!("no number before `{text}` in `{line}`"))
}
