//! The recorded runs that claims rest on, each read once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rayon::prelude::*;

use crate::{
    examples::{Example, Record, Recording},
    ledger::{Ledger, Run},
};

/// A program, session, test or experiment and what it printed, or what is wrong with either.
type Found = Result<(Example, Result<Recording, String>), String>;

/// Runs by the names of what ran.
pub struct Runs(BTreeMap<String, Found>);

impl Runs {
    /// Reads the runs that the claims of a ledger name.
    pub fn read(root: &Path, ledger: &Ledger) -> Self {
        let runs = ledger.claims().flat_map(|claim| &claim.runs);
        let names: BTreeSet<&str> = runs.filter_map(Run::recorded).collect();
        let find = |name: &str| {
            let found = Example::find(root, name).map(|example| {
                let recording = example.recording(root);
                (example, recording)
            });
            (name.to_owned(), found)
        };
        Self(names.into_par_iter().map(find).collect())
    }

    /// What ran and what it printed.
    ///
    /// # Errors
    /// A message that says what is missing or wrong.
    pub fn get(&self, name: &str) -> Result<(&Example, Result<&Recording, String>), String> {
        match self.0.get(name) {
            Some(Ok((example, recording))) => {
                Ok((example, recording.as_ref().map_err(Clone::clone)))
            }
            Some(Err(message)) => Err(message.clone()),
            None => Err(format!("no claim rests on `{name}`")),
        }
    }

    /// The record of a run that is as it should be.
    pub fn record(&self, name: &str) -> Option<&Record> {
        let (_, recording) = self.get(name).ok()?;
        Some(&recording.ok()?.record)
    }
}
