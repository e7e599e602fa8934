//! The brokers in containers, where a Docker engine answers.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::broker::Broker;
use crate::layout::Layout;
use crate::prerequisites::find_program;
use crate::process::{Leashed, leashed, run};
use crate::progress::note;

/// An engine that takes longer is not there.
const LIMIT: Duration = Duration::from_secs(5);

/// Whether a Docker engine answers and `docker compose` is there.
pub(crate) fn is_available(layout: &Layout) -> Result<bool> {
    if find_program("docker").is_none() {
        return Ok(false);
    }
    let engine = succeeds_in_time(layout, &["info"])?;
    let compose = engine && succeeds_in_time(layout, &["compose", "version"])?;
    if engine && !compose {
        note("a Docker engine answers, but `docker compose` is not installed: not using Docker");
    }
    Ok(compose)
}

fn succeeds_in_time(layout: &Layout, arguments: &[&str]) -> Result<bool> {
    let mut command = leashed("docker");
    let mut running = Leashed::spawn(command.args(arguments), &layout.home.join("docker.log"))?;
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        if let Some(status) = running.exited()? {
            return Ok(status.success());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(false)
}

/// Starts services of docker-compose.yml and returns when they are healthy.
pub(crate) fn up(layout: &Layout, brokers: &[Broker]) -> Result<()> {
    note(
        "a Docker engine answers: docker compose up -d --wait (the first time it downloads the images)",
    );
    compose(layout, &["up", "-d", "--wait"], brokers)
}

/// Removes containers, and with the last of them the network; their volumes stay.
pub(crate) fn down(layout: &Layout, brokers: &[Broker], are_all: bool) -> Result<()> {
    if are_all {
        return compose(layout, &["down"], &[]);
    }
    compose(layout, &["rm", "--stop", "--force"], brokers)
}

fn compose(layout: &Layout, arguments: &[&str], brokers: &[Broker]) -> Result<()> {
    let mut command: Command = leashed("docker");
    command
        .args(["compose", "-f"])
        .arg(layout.workspace.join("docker-compose.yml"))
        .args(arguments)
        .args(brokers.iter().map(|broker| broker.name()));
    run(&mut command, &layout.home.join("docker.log"))
        .with_context(|| format!("docker compose {}", arguments.join(" ")))
}
