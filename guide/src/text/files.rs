//! The files of the project, without what editors put beside them.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What is in a folder, sorted, without editors' side files; nothing when it does not exist.
pub fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| !is_side_file(&entry.file_name().to_string_lossy()));
    let mut paths: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// Every file below a folder, sorted, without editors' side files.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for path in entries(&folder) {
            match path.is_dir() {
                true => open.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    files
}

/// Whether a file is an editor's own: swap and lock files, back-ups, and the file by which Vim tries
/// whether it may write.
fn is_side_file(name: &str) -> bool {
    name.starts_with(['.', '#']) || name.ends_with('~') || name == "4913"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_leave_files_that_are_not_ours() {
        for name in [".a.md.swp", ".#a.md", "#a.md#", "a.md~", "4913"] {
            assert!(is_side_file(name), "{name}");
        }
        assert!(!is_side_file("a.md"));
    }
}
