//! What runs, written down in the run's folder: what a killed sandbox left can be found again.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::layout::Layout;
use crate::ports::PortPlan;
use crate::process::{Stamp, remove_folder};

const FILE: &str = "state.json";

/// One run: `up`, or one private sandbox.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The process with which a private sandbox lives and dies.
    pub owner: Option<Stamp>,
    /// The ports that a private sandbox has chosen, written before its brokers start.
    #[serde(default)]
    pub plans: Vec<PortPlan>,
    pub brokers: Vec<Started>,
}

/// A broker that was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Started {
    pub broker: Broker,
    pub by: StartedBy,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StartedBy {
    /// A process of the sandbox's own; everything else belongs to its session.
    Process { stamp: Stamp, ports: PortPlan },
    /// The nodes of a cluster, the first one first, and for RabbitMQ what they find each other by.
    Cluster {
        nodes: Vec<Stamp>,
        epmd: Option<Stamp>,
        ports: Vec<PortPlan>,
    },
    /// `docker compose up`.
    Docker,
}

impl StartedBy {
    /// Every process that must be ended.
    pub fn stamps(&self) -> Vec<&Stamp> {
        match self {
            Self::Process { stamp, .. } => vec![stamp],
            Self::Cluster { nodes, epmd, .. } => nodes.iter().chain(epmd).collect(),
            Self::Docker => Vec::new(),
        }
    }

    /// The ports of each node.
    pub fn ports(&self) -> Vec<PortPlan> {
        match self {
            Self::Process { ports, .. } => vec![*ports],
            Self::Cluster { ports, .. } => ports.clone(),
            Self::Docker => Vec::new(),
        }
    }
}

impl State {
    /// The state of the run in `folder`; an absent or half-written one is empty.
    pub fn read(folder: &Path) -> Self {
        fs::read(folder.join(FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default()
    }

    /// Writes the state as a whole: a reader never sees half of it.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let draft = folder.join(format!("{FILE}.new"));
        let path = folder.join(FILE);
        let text = serde_json::to_vec_pretty(self).context("writing the state as JSON")?;
        fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        fs::rename(&draft, &path).with_context(|| format!("writing {}", path.display()))
    }

    /// How a broker was started.
    pub fn by(&self, broker: Broker) -> Option<&StartedBy> {
        self.brokers
            .iter()
            .find(|started| started.broker == broker)
            .map(|started| &started.by)
    }

    pub fn record(&mut self, broker: Broker, by: StartedBy) {
        self.forget(broker);
        self.brokers.push(Started { broker, by });
    }

    pub fn forget(&mut self, broker: Broker) {
        self.brokers.retain(|started| started.broker != broker);
    }

    fn ports(&self) -> impl Iterator<Item = u16> + '_ {
        let brokers = self.brokers.iter();
        let brokers = brokers.flat_map(|started| started.by.ports());
        let own = self.plans.iter().copied();
        own.chain(brokers).flat_map(|ports| ports.all())
    }
}

/// Ends and removes what private sandboxes left whose process is gone. Returns how many.
pub(crate) fn clean_up(layout: &Layout) -> Result<usize> {
    let mut cleaned = 0;
    for folder in private_runs(layout)? {
        let state = State::read(&folder);
        if state.owner.as_ref().is_some_and(Stamp::is_running) {
            continue;
        }
        for started in &state.brokers {
            for stamp in started.by.stamps() {
                stamp.end()?;
            }
        }
        remove_folder(&folder)?;
        cleaned += 1;
    }
    Ok(cleaned)
}

/// The ports that running sandboxes of this workspace have or are about to open.
pub(crate) fn reserved_ports(layout: &Layout) -> Result<HashSet<u16>> {
    let mut folders = private_runs(layout)?;
    folders.push(layout.usual_run());
    Ok(folders
        .iter()
        .flat_map(|folder| State::read(folder).ports().collect::<Vec<_>>())
        .collect())
}

fn private_runs(layout: &Layout) -> Result<Vec<PathBuf>> {
    let runs = layout.runs();
    let entries = fs::read_dir(&runs).with_context(|| format!("reading {}", runs.display()))?;
    let mut folders = Vec::new();
    for entry in entries {
        let folder = entry
            .with_context(|| format!("reading {}", runs.display()))?
            .path();
        if folder != layout.usual_run() {
            folders.push(folder);
        }
    }
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Ports;
    use crate::process::{Leashed, leashed};

    fn layout(home: &Path) -> Layout {
        Layout::at(home.into(), home.into()).unwrap()
    }

    #[test]
    fn what_a_killed_sandbox_left_is_ended_and_removed() {
        let home = tempfile::tempdir().unwrap();
        let layout = layout(home.path());
        let ports = PortPlan::choose(Ports::Free, &HashSet::new()).unwrap();
        let start =
            || Leashed::spawn(leashed("sleep").arg("60"), &home.path().join("log")).unwrap();
        let (mut owner, broker) = (start(), start());
        let mut state = State {
            owner: Some(owner.stamp().unwrap()),
            plans: vec![ports],
            ..State::default()
        };
        let stamp = broker.stamp().unwrap();
        state.record(
            Broker::Kafka,
            StartedBy::Process {
                stamp: stamp.clone(),
                ports,
            },
        );
        let folder = layout.runs().join("1-0");
        state.write(&folder).unwrap();

        assert_eq!(clean_up(&layout).unwrap(), 0, "its owner runs");
        assert!(reserved_ports(&layout).unwrap().contains(&ports.kafka));
        owner.kill().unwrap();
        assert_eq!(clean_up(&layout).unwrap(), 1);
        assert!(!stamp.is_running() && !folder.exists());
        assert!(reserved_ports(&layout).unwrap().is_empty());
    }

    #[test]
    fn half_a_state_is_no_state() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(FILE), "{\"brokers\": [{").unwrap();
        assert!(State::read(home.path()).brokers.is_empty());
    }
}
