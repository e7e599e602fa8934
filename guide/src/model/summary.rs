//! `SUMMARY.md` and the pages: every entry has its file, every file an entry, and each can be read.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;

use super::address::Address;
use crate::text::{
    files,
    problem::{Problem, cut, shown},
};

/// A link of the summary with a file behind it; drafts have none.
static ENTRY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\]\(<?([^)>]+)>?\)").expect("a constant pattern"));

/// An item of the summary.
static ITEM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*[-*+]\s+\S").expect("a constant pattern"));

/// Where mdBook says that it does not understand the summary.
static LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"SUMMARY\.md line (\d+)").expect("a constant pattern"));

/// What is wrong with `SUMMARY.md` in the folder `source` of the project, and with the files below
/// the folder.
pub fn problems(root: &Path, source: &Path) -> Vec<Problem> {
    let file = source.join("SUMMARY.md");
    let text = match fs::read_to_string(root.join(&file)) {
        Ok(text) => text,
        Err(e) => {
            let message = format!("cannot read it: {e}; write it");
            return vec![Problem::new(file, 1, message)];
        }
    };
    let (entries, mut problems) = entries(&file, &text);
    for (path, line) in &entries {
        problems.extend(missing_page(root, source, &file, path, *line));
        problems.extend(reserved(&file, path, *line));
    }
    problems.extend(of_one_address(&file, &entries));
    problems.extend(orphans(root, source, &entries));
    problems.extend(dangling(root, &root.join(source)));
    problems
}

/// What mdBook says about a summary that it cannot read.
pub fn unreadable(source: &Path, error: &anyhow::Error) -> Problem {
    let reason = format!("{:#}", error.root_cause());
    let line = LINE
        .captures(&format!("{error:#}"))
        .and_then(|found| found[1].parse().ok());
    let message = format!("mdBook says: {}; correct it", cut(&reason));
    Problem::new(source.join("SUMMARY.md"), line.unwrap_or(1), message)
}

/// The files of the summary with their lines, and what is wrong with its lines.
fn entries<'a>(file: &Path, text: &'a str) -> (BTreeMap<&'a str, usize>, Vec<Problem>) {
    let mut entries = BTreeMap::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if ITEM.is_match(line) && !line.contains("](") {
            let message = "an entry without a link; write `- [Title](file.md)`";
            problems.push(Problem::new(file, number, message));
        }
        for path in ENTRY.captures_iter(line).filter_map(|entry| entry.get(1)) {
            let path = path.as_str().trim_start_matches("./");
            if let Some(first) = entries.insert(path, number) {
                let message = format!("`{path}` is also in line {first}; remove one");
                problems.push(Problem::new(file, number, message));
            }
        }
    }
    (entries, problems)
}

fn missing_page(
    root: &Path,
    source: &Path,
    summary: &Path,
    path: &str,
    line: usize,
) -> Option<Problem> {
    let is_there = root.join(source).join(path).exists();
    let message = format!("the page `{path}` has no file; write it or remove the entry");
    (!is_there).then(|| Problem::new(summary, line, message))
}

/// A page whose address is taken.
fn reserved(summary: &Path, path: &str, line: usize) -> Option<Problem> {
    let why = match path {
        "404.md" => "the site has a page of its own for an address that does not exist",
        "print.md" => "mdBook keeps it for the whole book on one page",
        _ => return None,
    };
    let message = format!("`{path}` cannot be a page: {why}; rename it");
    Some(Problem::new(summary, line, message))
}

/// Pages that would overwrite each other: `README.md` and `index.md` of one folder.
fn of_one_address(summary: &Path, entries: &BTreeMap<&str, usize>) -> Vec<Problem> {
    let mut known: BTreeMap<Address, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (path, line) in entries {
        let address = Address::of_page(Path::new(path));
        if let Some(other) = known.insert(address.clone(), path) {
            let message = format!("`{path}` and `{other}` are both {address}; rename one");
            problems.push(Problem::new(summary, *line, message));
        }
    }
    problems
}

/// The pages that cannot be read as text.
pub fn unreadable_pages(root: &Path, source: &Path) -> Vec<Problem> {
    let folder = root.join(source);
    let pages = files::below(&folder).into_iter();
    let pages = pages.filter(|file| file.extension().is_some_and(|e| e == "md"));
    let problem = |page: PathBuf| {
        let error = fs::read_to_string(&page).err()?;
        let message = format!("cannot read it: {error}; save it as UTF-8");
        Some(Problem::new(shown(root, &page), 1, message))
    };
    pages.filter_map(problem).collect()
}

/// Pages that nobody would ever see.
fn orphans(root: &Path, source: &Path, entries: &BTreeMap<&str, usize>) -> Vec<Problem> {
    let folder = root.join(source);
    let files = files::below(&folder).into_iter();
    let pages = files.filter(|file| file.extension().is_some_and(|e| e == "md"));
    let orphans = pages.filter(|page| {
        let path = shown(&folder, page).to_string_lossy().replace('\\', "/");
        path != "SUMMARY.md" && !entries.contains_key(path.as_str())
    });
    let message = "the page is not in SUMMARY.md; add it there or remove the file";
    orphans
        .map(|page| Problem::new(shown(root, &page), 1, message))
        .collect()
}

/// Links to nothing, which mdBook cannot copy; Emacs makes one while a file is not saved.
fn dangling(root: &Path, folder: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.metadata() {
            Ok(file) if file.is_dir() => problems.extend(dangling(root, &path)),
            Ok(_) => {}
            Err(e) => problems.push(link_to_nothing(shown(root, &path), &e)),
        }
    }
    problems
}

fn link_to_nothing(file: &Path, error: &io::Error) -> Problem {
    let message = format!(
        "cannot be read: {error}; save the file in your editor, which makes such a link, or remove it"
    );
    Problem::new(file, 1, message)
}
