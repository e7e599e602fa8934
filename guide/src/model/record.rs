//! What a program printed, and when and with what it was recorded.

use regex::Regex;
use serde::{Deserialize, de::IgnoredAny};
use toml::value::{Date, Datetime};

use crate::text::problem::Complaint;

/// What a program printed, and when and with what it was recorded.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The text of `output/NAME.txt`.
    pub output: String,
    /// The content of `output/NAME.toml`.
    pub record: Record,
}

/// `output/NAME.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The day of the run.
    pub recorded: Datetime,
    /// The broker with its version: `Apache Kafka 4.4.0`. A test runs without one.
    pub broker: Option<String>,
    /// The client library with its version: `rdkafka 0.39.0`.
    pub client: String,
    /// The compiler's version: `1.95.0`. A command-line session has none.
    pub rust: Option<String>,
    /// Lines that differ from run to run.
    #[serde(default)]
    pub varies: Vec<Varies>,
}

/// A line of the output that differs from run to run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Varies {
    /// The line, from 1.
    pub line: usize,
    /// A regular expression, searched in the line. What it matches may differ; the rest of the line
    /// may not.
    pub pattern: String,
}

/// `output/NAME.toml`, which may not be recorded yet and hold `varies` alone.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    #[serde(rename = "recorded")]
    _recorded: Option<IgnoredAny>,
    #[serde(rename = "broker")]
    _broker: Option<IgnoredAny>,
    #[serde(rename = "client")]
    _client: Option<IgnoredAny>,
    #[serde(rename = "rust")]
    _rust: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) varies: Vec<Varies>,
}

impl Record {
    /// The day of the run.
    ///
    /// # Errors
    /// When `recorded` holds a time and no date.
    pub fn day(&self) -> Result<Date, Complaint> {
        self.recorded
            .date
            .ok_or_else(|| "`recorded` is no date; write it as 2026-11-23".into())
    }
}

/// The first and the last day of some records.
pub fn days<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<(Date, Date)> {
    let days = records.into_iter().filter_map(|record| record.day().ok());
    let mut days: Vec<Date> = days.collect();
    days.sort_by_key(|day| (day.year, day.month, day.day));
    Some((*days.first()?, *days.last()?))
}

/// Whether every pattern is a regular expression and every line can exist.
pub(super) fn check(varies: &[Varies]) -> Result<(), Complaint> {
    for Varies { line, pattern } in varies {
        if *line == 0 {
            return Err("`line` of `varies` is 0; lines count from 1".into());
        }
        Regex::new(pattern).map_err(|e| {
            let reason = e.to_string();
            let reason = reason.lines().last().unwrap_or_default();
            format!(
                "the pattern {pattern:?} is no regular expression: {}",
                reason.trim()
            )
        })?;
    }
    Ok(())
}
