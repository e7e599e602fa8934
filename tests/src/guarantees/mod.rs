//! Experiments that break a system at the worst moment and count what becomes of the messages.
//!
//! One experiment is one file of the same name. Its numbers may vary from run to run; what it
//! concludes from them may not.

use anyhow::{Result, ensure};
use guide::guarantees::Counts;

pub mod kafka;
pub mod lab;
pub mod rabbitmq;
pub mod recording;
pub mod tally;
pub mod worker;

mod kafka_broker_paused;
mod kafka_consumer_killed;
mod kafka_coordinator_killed;
mod kafka_followers_stopped;
mod kafka_leader_killed;
mod kafka_leader_paused;
mod kafka_lone_broker;
mod kafka_producer_killed;
mod kafka_two_dead;
mod kafka_unclean_election;
mod rabbitmq_auto_recover;
mod rabbitmq_home_killed;
mod rabbitmq_leader_killed;
mod rabbitmq_leader_paused;
mod rabbitmq_minority;
mod rabbitmq_own_node_killed;
mod rabbitmq_restart;
mod rabbitmq_young_queue;
mod sqs_worker_dies;

pub use lab::{Lab, On};

/// An experiment.
pub struct Experiment {
    /// The name of its file.
    pub name: &'static str,
    /// What breaks, in a few words.
    pub title: &'static str,
    /// What is done, a sentence.
    pub does: &'static str,
    /// What it runs on.
    pub on: On,
    /// Does it.
    pub run: fn(&mut Lab) -> Result<Findings>,
}

/// Every experiment, those that share brokers together.
pub const ALL: [&Experiment; 19] = [
    &kafka_broker_paused::EXPERIMENT,
    &kafka_consumer_killed::EXPERIMENT,
    &kafka_producer_killed::EXPERIMENT,
    &kafka_lone_broker::EXPERIMENT,
    &kafka_coordinator_killed::EXPERIMENT,
    &kafka_leader_killed::EXPERIMENT,
    &kafka_followers_stopped::EXPERIMENT,
    &kafka_leader_paused::EXPERIMENT,
    &kafka_unclean_election::EXPERIMENT,
    &kafka_two_dead::EXPERIMENT,
    &rabbitmq_young_queue::EXPERIMENT,
    &rabbitmq_restart::EXPERIMENT,
    &rabbitmq_leader_killed::EXPERIMENT,
    &rabbitmq_own_node_killed::EXPERIMENT,
    &rabbitmq_home_killed::EXPERIMENT,
    &rabbitmq_auto_recover::EXPERIMENT,
    &rabbitmq_leader_paused::EXPERIMENT,
    &rabbitmq_minority::EXPERIMENT,
    &sqs_worker_dies::EXPERIMENT,
];

/// The experiment of this name.
pub fn find(name: &str) -> Option<&'static Experiment> {
    ALL.into_iter().find(|experiment| experiment.name == name)
}

/// What one run found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Each setting with what was counted.
    pub cases: Vec<(&'static str, Counts)>,
    /// What else was seen, and may be otherwise in another run.
    pub notes: Vec<String>,
    /// Each conclusion, and whether the run bears it out.
    pub conclusions: Vec<(String, bool)>,
}

impl Findings {
    /// Adds what was counted in one setting.
    pub fn case(&mut self, name: &'static str, counts: &Counts) {
        self.cases.push((name, counts.clone()));
    }

    /// Adds what else was seen.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds a conclusion, and whether this run bears it out.
    pub fn conclude(&mut self, conclusion: impl Into<String>, holds: bool) {
        self.conclusions.push((conclusion.into(), holds));
    }

    /// What the run prints: one line for each case, the notes, then the conclusions.
    pub fn print(&self) -> String {
        let cases = self.cases.iter().map(|(name, counts)| line(name, counts));
        let conclusions = self.conclusions.iter().map(|(text, holds)| match holds {
            true => text.clone(),
            false => format!("NOT SO: {text}"),
        });
        let notes = self.notes.iter().cloned();
        cases
            .chain(notes)
            .chain(conclusions)
            .map(|line| line + "\n")
            .collect()
    }

    /// Fails with the conclusions that the run does not bear out.
    ///
    /// # Errors
    /// There is one.
    pub fn check(&self) -> Result<()> {
        let failed = self.conclusions.iter().filter(|(_, holds)| !holds);
        let failed: Vec<_> = failed.map(|(text, _)| text.as_str()).collect();
        ensure!(
            failed.is_empty(),
            "this run does not bear out: {}",
            failed.join("; ")
        );
        Ok(())
    }
}

fn line(name: &str, counts: &Counts) -> String {
    let stall = counts
        .stall
        .map_or_else(String::new, |stall| format!(", longest stall {stall:.1} s"));
    format!(
        "{name}: sent {}, confirmed {}, received {}, lost {}, repeated {}, reordered {}{stall}",
        counts.sent,
        counts.confirmed,
        counts.received,
        counts.lost,
        counts.repeated,
        counts.reordered
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conclusion_that_a_run_does_not_bear_out_fails() {
        let mut findings = Findings::default();
        findings.conclude("nothing is lost", true);
        assert!(findings.check().is_ok());
        findings.conclude("nothing comes twice", false);
        let error = findings.check().unwrap_err().to_string();
        assert_eq!(error, "this run does not bear out: nothing comes twice");
        assert!(findings.print().ends_with("NOT SO: nothing comes twice\n"));
    }
}
