//! Waits until a file that the site is made from has changed.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver},
    time::Duration,
};

use anyhow::{Context, Result};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// A save raises several events; they are one change when no more follow within this time.
const QUIET: Duration = Duration::from_millis(60);

/// Folders that are watched with all below them, and single files in the root.
const FOLDERS: [&str; 2] = ["book", "snippets"];
const FILES: [&str; 2] = ["book.toml", "Cargo.toml"];

/// The files that the site is made from.
pub struct Changes {
    root: PathBuf,
    events: Receiver<()>,
    /// What the files held at the last look. An event alone proves no change: reading a file may
    /// raise one, and an editor may save what was there before.
    content: u64,
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Begins to watch the project in `root`.
    ///
    /// # Errors
    /// When the system refuses to watch the folders.
    pub fn watch(root: &Path) -> Result<Self> {
        let (sender, events) = mpsc::channel();
        let handler = move |event: notify::Result<Event>| {
            let is_access = |event: &Event| matches!(event.kind, EventKind::Access(_));
            if !event.as_ref().is_ok_and(is_access) {
                // The receiver is gone only when the program ends.
                let _ = sender.send(());
            }
        };
        let mut watcher = notify::recommended_watcher(handler).context("cannot watch files")?;
        for folder in FOLDERS.map(|folder| root.join(folder)) {
            if folder.is_dir() {
                watcher
                    .watch(&folder, RecursiveMode::Recursive)
                    .with_context(|| format!("cannot watch {}", folder.display()))?;
            }
        }
        // Editors replace a file: a watch on the file itself would end with the old one.
        watcher
            .watch(root, RecursiveMode::NonRecursive)
            .with_context(|| format!("cannot watch {}", root.display()))?;
        Ok(Self {
            content: content(root),
            root: root.to_owned(),
            events,
            _watcher: watcher,
        })
    }

    /// Waits until the content of a file has changed and the files are quiet. `false` when nothing
    /// can be watched any more.
    pub fn wait(&mut self) -> bool {
        while self.events.recv().is_ok() {
            while self.events.recv_timeout(QUIET).is_ok() {}
            let content = content(&self.root);
            if content != self.content {
                self.content = content;
                return true;
            }
        }
        false
    }
}

/// A number that changes with the name or content of any watched file.
fn content(root: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut open: Vec<PathBuf> = FOLDERS.map(|folder| root.join(folder)).into();
    let mut files: Vec<PathBuf> = FILES.map(|file| root.join(file)).into();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    for file in files {
        (&file, fs::read(&file).ok()).hash(&mut hasher);
    }
    hasher.finish()
}
