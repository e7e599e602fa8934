//! Fault experiments: `tests/src/guarantees/NAME.rs`, and what they counted and concluded in
//! `tests/guarantees/NAME.toml` and `NAME.txt`.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use super::record::{Record, Varies};
use crate::text::problem::Complaint;

/// Where the sources of the experiments are, from the root.
pub const SOURCES: &str = "tests/src/guarantees";

/// Where their records are, from the root.
pub const RECORDS: &str = "tests/guarantees";

/// `tests/guarantees/NAME.toml`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guarantee {
    /// The day of the runs.
    pub recorded: Datetime,
    /// The broker with its version: `Apache Kafka 4.4.0`.
    pub broker: String,
    /// The client library with its version: `rdkafka 0.39.0`.
    pub client: String,
    /// The compiler's version: `1.95.0`.
    pub rust: String,
    /// What breaks, in a few words.
    pub title: String,
    /// What is done, a sentence.
    pub does: String,
    /// What every run must conclude; the experiment fails when one does not.
    pub conclusions: Vec<String>,
    /// What was counted.
    #[serde(default, rename = "case")]
    pub cases: Vec<Case>,
}

/// One setting of an experiment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The setting: `acks=1, leader paused`.
    pub name: String,
    /// One entry for each run.
    pub runs: Vec<Counts>,
}

/// What was counted in one run of one case, in messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Different messages that were sent.
    pub sent: usize,
    /// Those that the broker confirmed.
    pub confirmed: usize,
    /// Different messages that were received.
    pub received: usize,
    /// Confirmed and never received.
    pub lost: usize,
    /// Copies beyond the first.
    pub repeated: usize,
    /// Messages whose first copy came after one that was sent later.
    pub reordered: usize,
    /// The longest time without progress, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<f64>,
}

impl Guarantee {
    /// The record of an experiment.
    ///
    /// # Errors
    /// A message that names the missing or wrong file and how to make it.
    pub fn load(root: &Path, name: &str) -> Result<Self, Complaint> {
        let file = file(name, "toml");
        let text = fs::read_to_string(root.join(&file)).map_err(|_| {
            format!(
                "no guarantee {file}; correct the name, or record one: \
                 cargo run --bin guarantees -- --record {name}"
            )
        })?;
        let wrong = |message: &str| format!("{file}: {message}; record it again");
        let guarantee: Self = toml::from_str(&text).map_err(|e| wrong(e.message()))?;
        if guarantee.recorded.date.is_none() {
            return Err(wrong("`recorded` is no date").into());
        }
        Ok(guarantee)
    }

    /// The record as that of a program that printed `output`: what is no conclusion may differ from
    /// run to run.
    pub fn record(&self, output: &str) -> Record {
        let differs = |line: &&str| !self.conclusions.iter().any(|c| c == line);
        let lines = output.lines().zip(1..);
        let varies = lines
            .filter(|(line, _)| differs(line))
            .map(|(_, line)| Varies {
                line,
                pattern: ".*".to_owned(),
            });
        Record {
            recorded: self.recorded,
            broker: Some(self.broker.clone()),
            client: self.client.clone(),
            rust: Some(self.rust.clone()),
            varies: varies.collect(),
        }
    }
}

/// A file of an experiment's record, from the root.
pub fn file(name: &str, extension: &str) -> String {
    format!("{RECORDS}/{name}.{extension}")
}
