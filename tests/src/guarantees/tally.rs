//! Counting: what was confirmed while it was sent, and what arrived in the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use guide::guarantees::Counts;
use sandbox::machine::scaled;

/// The answers to numbered messages, as they come.
#[derive(Debug, Default)]
pub struct Receipts(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    confirmed: BTreeSet<usize>,
    /// With the error of each.
    failed: BTreeMap<usize, String>,
    last: Option<Instant>,
    stall: Duration,
}

impl Receipts {
    /// The broker has confirmed a message.
    pub fn confirm(&self, number: usize) {
        self.change(|inner| {
            let now = Instant::now();
            let gap = inner.last.map_or(Duration::ZERO, |last| now - last);
            inner.stall = inner.stall.max(gap);
            inner.last = Some(now);
            inner.confirmed.insert(number);
        });
    }

    /// The client has given a message up.
    pub fn fail(&self, number: usize, error: String) {
        self.change(|inner| {
            inner.failed.insert(number, error);
        });
    }

    /// From now on the time without a confirm counts as a stall, and none before.
    pub fn restart_clock(&self) {
        self.change(|inner| {
            inner.last = Some(Instant::now());
            inner.stall = Duration::ZERO;
        });
    }

    /// How many messages were confirmed.
    pub fn confirmed(&self) -> usize {
        self.change(|inner| inner.confirmed.len())
    }

    /// How many messages were confirmed or given up.
    pub fn answered(&self) -> usize {
        self.change(|inner| inner.confirmed.len() + inner.failed.len())
    }

    /// The errors of those given up, each once.
    pub fn errors(&self) -> BTreeSet<String> {
        self.change(|inner| inner.failed.values().cloned().collect())
    }

    /// Those that were confirmed.
    pub fn numbers(&self) -> BTreeSet<usize> {
        self.change(|inner| inner.confirmed.clone())
    }

    /// What was counted, with the numbers that arrived in the order of their arrival.
    pub fn counts(&self, sent: usize, arrived: &[usize]) -> Counts {
        let stall = self.change(|inner| inner.stall);
        counts(sent, &self.numbers(), arrived, Some(stall))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        change(&mut inner)
    }
}

/// Counts what was lost, came again or came late.
pub fn counts(
    sent: usize,
    confirmed: &BTreeSet<usize>,
    arrived: &[usize],
    stall: Option<Duration>,
) -> Counts {
    let mut seen = BTreeSet::new();
    let mut reordered = 0;
    for number in arrived {
        let late = seen.last().is_some_and(|highest| highest > number);
        let is_first = seen.insert(*number);
        reordered += usize::from(is_first && late);
    }
    Counts {
        sent,
        confirmed: confirmed.len(),
        received: seen.len(),
        lost: confirmed.difference(&seen).count(),
        repeated: arrived.len() - seen.len(),
        reordered,
        // One digit: more would be noise.
        stall: stall.map(|stall| (stall.as_secs_f64() * 10.0).round() / 10.0),
    }
}

/// Waits until something holds.
///
/// # Errors
/// It does not within the limit, or the last look at it failed; the message says what was awaited.
pub fn wait_for(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let limit = scaled(limit);
    let deadline = Instant::now() + limit;
    loop {
        let looked = holds();
        if matches!(looked, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let holds = looked.with_context(|| format!("waiting for: {what}"))?;
            ensure!(holds, "not within {} s: {what}", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_repeated_and_reordered_are_counted_apart() {
        let confirmed = BTreeSet::from([0, 1, 2, 3, 4]);
        let counts = counts(6, &confirmed, &[0, 2, 1, 2, 5], None);
        let expected = Counts {
            sent: 6,
            confirmed: 5,
            received: 4,
            lost: 2,
            repeated: 1,
            reordered: 1,
            stall: None,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn a_repeated_message_is_not_a_reordered_one() {
        let counts = counts(2, &BTreeSet::from([0, 1]), &[0, 1, 0], None);
        assert_eq!((counts.repeated, counts.reordered), (1, 0));
    }
}
