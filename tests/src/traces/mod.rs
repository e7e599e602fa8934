//! Traces: what real brokers did with the cases in `book/interactive/traces`, against which the models
//! of the guide's interactive parts are held.
//!
//! A trace is a JSON file: what it was recorded with, and cases of `[input, result]`. Recording keeps
//! the inputs and writes the results anew, so a case is added by writing `[input, null]`.

mod acks;
pub(crate) mod amqp;
pub(crate) mod aws;
mod exchange;
mod filter;
mod groups;
mod keys;
mod log;
mod members;
mod stories;
mod visibility;

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use sandbox::Broker;
use serde_json::{Map, Value};

use crate::{brokers::Brokers, record};

pub use members::{MEMBER, member};

/// The folder of the traces, below the root.
pub const FOLDER: &str = "book/interactive/traces";

/// Who records a trace: its file's name, its broker, and the client's package.
struct Recorder {
    name: &'static str,
    broker: Broker,
    client: &'static str,
}

const RECORDERS: [Recorder; 8] = [
    recorder("exchange", Broker::RabbitMq, "lapin"),
    recorder("acks", Broker::RabbitMq, "lapin"),
    recorder("keys", Broker::Kafka, "rdkafka"),
    recorder("groups", Broker::Kafka, "rdkafka"),
    recorder("stories", Broker::Kafka, "rdkafka"),
    recorder("log", Broker::Kafka, "rdkafka"),
    recorder("visibility", Broker::LocalStack, "aws-sdk-sqs"),
    recorder("filter", Broker::LocalStack, "aws-sdk-sns"),
];

const fn recorder(name: &'static str, broker: Broker, client: &'static str) -> Recorder {
    Recorder {
        name,
        broker,
        client,
    }
}

/// A trace as its file holds it.
pub struct Trace {
    /// Everything but the cases, in the order of the file.
    pub head: Map<String, Value>,
    /// What was asked of the broker.
    pub inputs: Vec<Value>,
    /// What it did.
    pub results: Vec<Value>,
}

impl Trace {
    /// Reads a trace.
    ///
    /// # Errors
    /// The file cannot be read, or holds no cases of two parts.
    pub fn load(root: &Path, name: &str) -> Result<Self> {
        let file = root.join(FOLDER).join(format!("{name}.json"));
        let read = || {
            let mut head: Map<String, Value> = serde_json::from_str(&fs::read_to_string(&file)?)?;
            let cases = head.remove("cases").context("it has no cases")?;
            let cases: Vec<(Value, Value)> = serde_json::from_value(cases)?;
            let (inputs, results) = cases.into_iter().unzip();
            Ok::<_, anyhow::Error>(Self {
                head,
                inputs,
                results,
            })
        };
        read().with_context(|| format!("cannot read {}", file.display()))
    }

    /// Writes it, a case to a line, so that what changed can be read as a difference.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, root: &Path, name: &str) -> Result<()> {
        let file = root.join(FOLDER).join(format!("{name}.json"));
        let mut text = "{\n".to_owned();
        for (key, value) in &self.head {
            text += &format!("{}: {value},\n", Value::from(key.as_str()));
        }
        let cases = self.inputs.iter().zip(&self.results);
        let cases: Vec<_> = cases.map(|(i, r)| format!("[{i},{r}]")).collect();
        text += &format!("\"cases\": [\n{}\n]\n}}\n", cases.join(",\n"));
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }
}

/// The names of the traces that can be recorded.
pub fn names() -> impl Iterator<Item = &'static str> {
    RECORDERS.iter().map(|recorder| recorder.name)
}

/// Records traces, all of them if none is named.
///
/// # Errors
/// There is no such trace, a broker does not start, or a case could not be played.
pub fn record(root: &Path, names: &[String]) -> Result<()> {
    for name in names {
        let known = RECORDERS.iter().any(|recorder| recorder.name == name);
        let all: Vec<_> = self::names().collect();
        ensure!(known, "there is no trace {name}; known: {}", all.join(", "));
    }
    let is_named = |r: &&Recorder| names.is_empty() || names.iter().any(|name| name == r.name);
    let runtime = tokio::runtime::Runtime::new()?;
    for broker in Broker::ALL {
        let recorders = RECORDERS.iter().filter(is_named);
        let recorders: Vec<_> = recorders.filter(|r| r.broker == broker).collect();
        if recorders.is_empty() {
            continue;
        }
        let brokers = Brokers::start_these(&[broker])?;
        for recorder in recorders {
            let recorded = runtime.block_on(record_one(root, recorder, &brokers));
            recorded.with_context(|| format!("{} was not recorded", recorder.name))?;
            eprintln!("recorded {}", recorder.name);
        }
    }
    Ok(())
}

async fn record_one(root: &Path, recorder: &Recorder, brokers: &Brokers) -> Result<()> {
    let mut trace = Trace::load(root, recorder.name)?;
    let inputs = &trace.inputs;
    trace.results = match recorder.name {
        "exchange" => exchange::play(brokers, inputs).await?,
        "acks" => acks::play(brokers, inputs).await?,
        "keys" => keys::play(brokers, inputs).await?,
        "groups" => groups::play(brokers, inputs).await?,
        "stories" => stories::play(brokers, inputs).await?,
        "log" => log::play(brokers, inputs).await?,
        "visibility" => visibility::play(brokers, inputs).await?,
        _ => filter::play(brokers, &mut trace.head, inputs).await?,
    };
    ensure!(
        trace.inputs.len() == trace.results.len(),
        "not every case has a result"
    );
    let version = brokers.sandbox().and_then(|s| s.version(recorder.broker));
    let version = version.context("the broker did not say its version; record with the sandbox")?;
    let client = record::locked_version(root, recorder.client)?;
    let client = match recorder.broker {
        Broker::Kafka => {
            let java = match recorder.name {
                "keys" => format!(
                    ", Kafka's console producer {}",
                    sandbox::KAFKA_TOOLS_VERSION
                ),
                _ => String::new(),
            };
            let librdkafka = rdkafka::util::get_rdkafka_version().1;
            format!("rdkafka {client} with librdkafka {librdkafka}{java}")
        }
        _ => format!("{} {client}", recorder.client),
    };
    let today = jiff::ZonedDateTime::now().date().to_string();
    trace.head.insert("broker".to_owned(), version.into());
    trace.head.insert("client".to_owned(), client.into());
    trace.head.insert("recorded".to_owned(), today.into());
    trace.save(root, recorder.name)
}

/// A part of a case's input.
fn part<T: serde::de::DeserializeOwned>(input: &Value) -> Result<T> {
    serde_json::from_value(input.clone())
        .with_context(|| format!("no input of this trace: {input}"))
}
