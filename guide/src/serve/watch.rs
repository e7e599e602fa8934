//! Waits until a file that the site is made from has changed.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::{model::include, text::files};

/// A save raises several events; they are one change when no more follow within this time.
const QUIET: Duration = Duration::from_millis(25);

/// However many events follow, a change is looked at after this time.
const LONGEST: Duration = Duration::from_secs(1);

/// How often the files are looked at where no event comes: a folder of another system (WSL on a disk of
/// Windows, a folder shared with a virtual machine) raises none.
const LOOK: Duration = Duration::from_secs(2);

/// Folders that are watched with all below them, and single files in the root.
const FOLDERS: [&str; 3] = ["book", "snippets", "tests"];
const FILES: [&str; 2] = ["book.toml", "Cargo.toml"];

/// The files that the site is made from.
pub struct Changes {
    root: PathBuf,
    sender: Sender<()>,
    events: Receiver<()>,
    /// What the files held at the last look. An event alone proves no change: reading a file may
    /// raise one, and an editor may save what was there before.
    content: u64,
    /// What the files looked like from outside at the last look.
    stamps: u64,
    /// None from a change to the next wait: a watch is told of each file that is opened, and a build
    /// opens thousands.
    watcher: Option<RecommendedWatcher>,
}

impl Changes {
    /// Begins to watch the project in `root`.
    ///
    /// # Errors
    /// When the system refuses to watch the folders.
    pub fn watch(root: &Path) -> Result<Self> {
        let (sender, events) = mpsc::channel();
        Ok(Self {
            watcher: Some(watcher(root, &sender)?),
            content: content(root),
            stamps: stamps(root),
            root: root.to_owned(),
            sender,
            events,
        })
    }

    /// Waits until the content of a file has changed and the files are quiet. What changed since the
    /// last wait counts.
    ///
    /// # Errors
    /// When nothing can be watched any more.
    pub fn wait(&mut self) -> Result<()> {
        if self.watcher.is_none() {
            self.watcher = Some(watcher(&self.root, &self.sender)?);
            if content(&self.root) != self.content {
                self.sender.send(()).context("the watch on files ended")?;
            }
        }
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) if stamps(&self.root) == self.stamps => continue,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the watch on files ended"),
            }
            self.stamps = stamps(&self.root);
            let start = Instant::now();
            while start.elapsed() < LONGEST && self.events.recv_timeout(QUIET).is_ok() {}
            // A folder that was moved away and back is another one to the system. What changes from
            // here on raises an event; what has changed until here is seen by the look.
            self.watcher = Some(watcher(&self.root, &self.sender)?);
            let content = content(&self.root);
            if content != self.content {
                self.content = content;
                self.watcher = None;
                return Ok(());
            }
        }
    }
}

fn watcher(root: &Path, sender: &Sender<()>) -> Result<RecommendedWatcher> {
    let sender = sender.clone();
    let handler = move |event: notify::Result<Event>| {
        let is_access = |event: &Event| matches!(event.kind, EventKind::Access(_));
        if !event.as_ref().is_ok_and(is_access) {
            // The receiver is gone only when the program ends.
            let _ = sender.send(());
        }
    };
    let mut watcher = notify::recommended_watcher(handler).context("cannot watch files")?;
    // Editors replace a file: a watch on the file itself would end with the old one.
    let watched = watcher.watch(root, RecursiveMode::NonRecursive);
    watched.with_context(|| format!("cannot watch {}", root.display()))?;
    for folder in FOLDERS.map(|folder| root.join(folder)) {
        watch(&mut watcher, &folder, RecursiveMode::Recursive)?;
    }
    let included = included_files(root);
    let folders: BTreeSet<_> = included.iter().filter_map(|file| file.parent()).collect();
    for folder in folders {
        if !FOLDERS
            .iter()
            .any(|ours| folder.starts_with(root.join(ours)))
            && folder != root
        {
            watch(&mut watcher, folder, RecursiveMode::NonRecursive)?;
        }
    }
    Ok(watcher)
}

/// Watches a folder. One that is not there raises an event of the root when it comes; one in which a
/// folder goes while it is read is read again.
fn watch(watcher: &mut RecommendedWatcher, folder: &Path, mode: RecursiveMode) -> Result<()> {
    let mut watched = watcher.watch(folder, mode);
    for _ in 0..10 {
        match &watched {
            Err(e) if is_missing(e) && !folder.exists() => return Ok(()),
            Err(e) if is_missing(e) => watched = watcher.watch(folder, mode),
            _ => break,
        }
    }
    watched.with_context(|| format!("cannot watch {}", folder.display()))
}

fn is_missing(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(e) => e.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// The files that pages include, wherever they are.
fn included_files(root: &Path) -> BTreeSet<PathBuf> {
    let pages = files::below(&root.join("book")).into_iter();
    let pages = pages.filter(|file| file.extension().is_some_and(|e| e == "md"));
    let included = pages.flat_map(|page| {
        let text = fs::read_to_string(&page).unwrap_or_default();
        let folder = page.parent().unwrap_or(root).to_owned();
        include::files(&text)
            .into_iter()
            .filter_map(move |file| folder.join(file).canonicalize().ok())
    });
    included.collect()
}

/// A number that changes with the name or content of any watched file.
fn content(root: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut watched = included_files(root);
    watched.extend(
        FOLDERS
            .iter()
            .flat_map(|folder| files::below(&root.join(folder))),
    );
    watched.extend(FILES.map(|file| root.join(file)));
    for file in watched {
        (&file, fs::read(&file).ok()).hash(&mut hasher);
    }
    hasher.finish()
}

/// The lengths and times of the files, without reading one.
fn stamps(root: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let watched = FOLDERS
        .iter()
        .flat_map(|folder| files::below(&root.join(folder)));
    for file in watched.chain(FILES.map(|file| root.join(file))) {
        let stamp = fs::metadata(&file)
            .ok()
            .map(|m| (m.len(), m.modified().ok()));
        (&file, stamp).hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_what_the_site_is_made_from() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |file: &str, text: &str| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write("book/a.md", "{{#include ../compose.yml:broker}}");
        write("compose.yml", "one");
        let before = content(root);
        for side_file in [
            "book/.a.md.swp",
            "book/#a.md#",
            "book/a.md~",
            "book/4913",
            "other.yml",
        ] {
            write(side_file, "x");
            assert_eq!(content(root), before, "{side_file}");
        }
        write("compose.yml", "two");
        let included = content(root);
        assert_ne!(included, before);
        write("snippets/kafka/output/a.txt", "x");
        assert_ne!(content(root), included);
    }
}
