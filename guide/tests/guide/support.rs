//! A small book in a folder of its own, with the settings and the theme of the real one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

pub struct Book {
    folder: TempDir,
}

impl Book {
    pub fn new() -> Self {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = guide.join("..");
        let folder = TempDir::new().unwrap();
        copy(&guide.join("tests/fixture"), folder.path());
        copy(
            &project.join("book/theme"),
            &folder.path().join("book/theme"),
        );
        fs::copy(project.join("book.toml"), folder.path().join("book.toml")).unwrap();
        Self { folder }
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root().join(file)
    }

    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    pub fn write(&self, file: &str, text: &str) {
        self.write_bytes(file, text.as_bytes());
    }

    pub fn write_bytes(&self, file: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), bytes).unwrap();
    }

    /// Replaces a text that must be there.
    pub fn replace(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file} does not contain {from}");
        self.write(file, &text.replace(from, to));
    }

    pub fn append(&self, file: &str, text: &str) {
        self.write(file, &(self.read(file) + text));
    }

    pub fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    pub fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    pub fn copy(&self, from: &str, to: &str) {
        copy(&self.path(from), &self.path(to));
    }

    pub fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    /// Every file below a folder, relative to it, sorted.
    pub fn files(&self, folder: &str) -> Vec<String> {
        let base = self.path(folder);
        let mut open = vec![base.clone()];
        let mut files = Vec::new();
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    files.push(
                        path.strip_prefix(&base)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned(),
                    );
                }
            }
        }
        files.sort();
        files
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
