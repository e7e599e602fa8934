//! Waiting until a broker answers its own protocol.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::machine::scaled;
use crate::process::{Leashed, tail};

/// Much longer than a start takes on a usual machine that is busy.
const LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// Probes until the broker answers. That it ended, or took too long, is an error with the last
/// lines of its log.
pub(crate) fn await_ready<T>(
    broker: &mut Leashed,
    title: &str,
    probe: impl Fn() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(status) = broker.exited()? {
            bail!(
                "{title} ended at its start ({status}); the end of {}",
                log_end(broker)
            );
        }
        match probe() {
            Ok(answer) => return Ok(answer),
            // The machine's speed is measured only when it matters.
            Err(error) if started.elapsed() > LIMIT && started.elapsed() > scaled(LIMIT) => bail!(
                "{title} does not answer after {} s: {error:#}; the end of {}",
                started.elapsed().as_secs(),
                log_end(broker)
            ),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

fn log_end(broker: &Leashed) -> String {
    format!("{}:\n{}", broker.log().display(), tail(broker.log()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::leashed;

    #[test]
    fn a_broker_that_ends_at_its_start_is_told_with_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = leashed("sh");
        command.args(["-c", "echo the disk is full; exit 3"]);
        let mut broker = Leashed::spawn(&mut command, &folder.path().join("broker.log")).unwrap();
        let error = await_ready::<()>(&mut broker, "Kafka", || bail!("refused"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("Kafka ended at its start (exit status: 3); the end of "),
            "{error}"
        );
        assert!(
            error.ends_with("broker.log:\n    the disk is full"),
            "{error}"
        );
    }
}
