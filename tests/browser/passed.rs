//! The pages that passed, remembered by a hash of all that the result depends on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// What a page costs a reader who opens it first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes over the network, compressed, with headers.
    pub bytes: u64,
    pub requests: usize,
}

/// The memory: one file under `target`, the cost of each page by its hash.
pub struct Passed {
    file: PathBuf,
    known: BTreeMap<u64, Cost>,
    used: BTreeSet<u64>,
}

impl Passed {
    /// Reads what earlier runs remembered; a file that can't be read remembers nothing.
    pub fn load(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        Self {
            file: file.to_owned(),
            known: serde_json::from_str(&text).unwrap_or_default(),
            used: BTreeSet::new(),
        }
    }

    /// What a page cost when it passed.
    pub fn cost(&mut self, hash: u64) -> Option<Cost> {
        self.used.insert(hash);
        self.known.get(&hash).copied()
    }

    /// Remembers a page that passed.
    pub fn add(&mut self, hash: u64, cost: Cost) {
        self.known.insert(hash, cost);
    }

    /// Forgets the pages that nobody asked for.
    pub fn tidy(&mut self) {
        self.known.retain(|hash, _| self.used.contains(hash));
    }

    /// Writes the memory.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_string(&self.known)?;
        fs::write(&self.file, text).with_context(|| format!("writing {}", self.file.display()))
    }
}

/// A number for a page together with what every page depends on.
pub fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}
