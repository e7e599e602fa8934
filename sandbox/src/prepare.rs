//! What is downloaded once: each broker in a folder of its own, renamed into place when it is
//! complete, so that a preparation that was cut off is done again.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::broker::Broker;
use crate::layout::Layout;
use crate::process::remove_folder;
use crate::progress::progress;
use crate::{kafka, localstack, prerequisites, rabbitmq};

/// The file whose presence means that a folder is complete; it holds the recipe.
const COMPLETE: &str = "complete";

/// Prepares the brokers that are not prepared yet, side by side.
pub(crate) fn prepare(layout: &Layout, brokers: &[Broker]) -> Result<()> {
    prerequisites::require_rights(brokers)?;
    if unprepared(layout, brokers).is_empty() {
        return Ok(());
    }
    let _lock = layout.lock("prepare", "prepares the brokers")?;
    let brokers = unprepared(layout, brokers);
    prerequisites::require(layout, &brokers)?;
    for_each(&brokers, |broker| {
        let start = Instant::now();
        match broker {
            Broker::Kafka => kafka::prepare(layout),
            Broker::RabbitMq => rabbitmq::prepare(layout),
            Broker::LocalStack => localstack::prepare(layout),
        }
        .map_err(|error| {
            let advice = advice(&format!("{error:#}"));
            error.context(format!("preparing {} failed{advice}", broker.title()))
        })?;
        progress(
            broker,
            &format!("prepared in {:.0} s", start.elapsed().as_secs_f64()),
        );
        Ok(())
    })
    .map(drop)
}

/// What to do about a download that failed, by what its tool says; nothing for what is unknown.
fn advice(said: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&[
        "NO_PUBKEY",
        "EXPKEYSIG",
        "KEYEXPIRED",
        "Missing key",
        "is not signed",
        "Sub-process /usr/bin/sqv returned",
    ]) {
        "; this machine's keys of Debian's archive do not fit the unstable distribution: \
         apt-get update && apt-get install debian-archive-keyring, or use Docker: \
         docker compose up -d --wait"
    } else if says(&["Operation not permitted", "Permission denied"]) {
        "; the system does not permit a step of it, as in a container with few rights: \
         use a machine or container that may mount and make devices, or Docker: \
         docker compose up -d --wait"
    } else if says(&["No space left on device"]) {
        "; the disk is full: free 1.5 GB and call it again"
    } else if says(&["Read-only file system"]) {
        "; a folder that it writes to is read-only: set CARGO_TARGET_DIR to one that is not"
    } else if says(&NO_NETWORK) && uses_proxy() {
        "; it needs the network, and this shell names a proxy: apt and uv read HTTPS_PROXY, Maven \
         reads ~/.m2/settings.xml only"
    } else if says(&NO_NETWORK) {
        "; it needs the network: call it again when that is there"
    } else {
        ""
    }
}

/// How Maven, apt, pip and uv say that they reach nobody.
const NO_NETWORK: [&str; 12] = [
    "Could not resolve",
    "Could not transfer",
    "Temporary failure",
    "Unknown host",
    "unreachable",
    "Connection refused",
    "Connection timed out",
    "timed out",
    "dns error",
    "Failed to fetch",
    "No matching distribution found",
    "client error (Connect)",
];

fn uses_proxy() -> bool {
    let names = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    names
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn unprepared(layout: &Layout, brokers: &[Broker]) -> Vec<Broker> {
    let is_prepared = |broker: &&Broker| match broker {
        Broker::Kafka => kafka::is_prepared(layout),
        Broker::RabbitMq => rabbitmq::is_prepared(layout),
        Broker::LocalStack => localstack::is_prepared(layout),
    };
    brokers
        .iter()
        .filter(|broker| !is_prepared(broker))
        .copied()
        .collect()
}

/// Does something for each broker side by side; the error names every broker that failed.
pub(crate) fn for_each<T: Send>(
    brokers: &[Broker],
    work: impl Fn(Broker) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let results: Vec<Result<T>> = thread::scope(|scope| {
        let threads: Vec<_> = brokers
            .iter()
            .map(|broker| scope.spawn(|| work(*broker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let mut failed: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
    match failed.len() {
        0 => Ok(done.into_iter().flatten().collect()),
        1 => Err(failed.remove(0)),
        _ => {
            let lines: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
            bail!("{}", lines.join("\n"))
        }
    }
}

/// One prepared folder.
pub(crate) struct Prepared {
    pub folder: PathBuf,
    /// What it is made from: a folder made from something else is made anew.
    recipe: String,
}

impl Prepared {
    pub fn new(layout: &Layout, name: &str, recipe: impl Into<String>) -> Self {
        Self {
            folder: layout.home.join(name),
            recipe: recipe.into(),
        }
    }

    pub fn is_complete(&self) -> bool {
        fs::read_to_string(self.folder.join(COMPLETE)).is_ok_and(|recipe| recipe == self.recipe)
    }

    /// Fills a draft folder by `make` and renames it into place, unless it is complete.
    pub fn make(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        if self.is_complete() {
            return Ok(());
        }
        let mut draft = self.folder.clone().into_os_string();
        draft.push(".draft");
        let draft = PathBuf::from(draft);
        remove_folder(&draft)?;
        remove_folder(&self.folder)?;
        fs::create_dir_all(&draft).with_context(|| format!("making {}", draft.display()))?;
        make(&draft)?;
        fs::write(draft.join(COMPLETE), &self.recipe).context("marking the folder as complete")?;
        fs::rename(&draft, &self.folder)
            .with_context(|| format!("renaming {} into place", draft.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(home: &Path, recipe: &str) -> Prepared {
        Prepared {
            folder: home.join("broker-1.2.3"),
            recipe: recipe.into(),
        }
    }

    #[test]
    fn half_a_download_is_done_again() {
        let home = tempfile::tempdir().unwrap();
        let broker = prepared(home.path(), "v1");
        let cut_off = broker.make(|draft| {
            fs::write(draft.join("half"), "…")?;
            bail!("the network is gone")
        });
        assert_eq!(cut_off.unwrap_err().to_string(), "the network is gone");
        assert!(!broker.is_complete());

        broker
            .make(|draft| Ok(fs::write(draft.join("whole"), "…")?))
            .unwrap();
        assert!(broker.is_complete());
        assert!(broker.folder.join("whole").exists() && !broker.folder.join("half").exists());
        broker.make(|_| bail!("it is made once")).unwrap();
    }

    #[test]
    fn the_network_is_blamed_for_its_own_failures_only() {
        for (said, advised) in [
            (
                "W: GPG error: sid InRelease: NO_PUBKEY 6ED0E7B82643E131",
                "keyring",
            ),
            (
                "E: mmdebstrap: unshare failed: Operation not permitted",
                "Docker",
            ),
            ("tar: write error: No space left on device", "disk"),
            (
                "Could not transfer artifact org.apache.kafka:kafka_2.13",
                "network",
            ),
            ("Temporary failure resolving 'archive.example'", "network"),
        ] {
            assert!(advice(said).contains(advised), "{said}: {}", advice(said));
        }
        assert_eq!(advice("Erlang dumped core"), "");
    }

    #[test]
    fn another_recipe_makes_the_folder_anew() {
        let home = tempfile::tempdir().unwrap();
        prepared(home.path(), "v1")
            .make(|draft| Ok(fs::write(draft.join("old"), "")?))
            .unwrap();
        let newer = prepared(home.path(), "v2");
        assert!(!newer.is_complete());
        newer.make(|_| Ok(())).unwrap();
        assert!(newer.is_complete() && !newer.folder.join("old").exists());
    }
}
