//! A reader copies a program into an empty project, runs the `cargo add` line beside it, and it
//! compiles: in edition 2024, which `cargo new` gives, and in 2021, which older projects have.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use guide::{
    Dependencies,
    examples::{Example, Kind},
};

/// One project for each distinct `cargo add` line and edition, all with one target folder, so that
/// each dependency is compiled once.
#[test]
fn a_pasted_program_compiles_in_both_editions() -> Result<()> {
    let root = tests::root();
    let dependencies = Dependencies::load(&root)?;
    let mut projects: BTreeMap<String, Vec<Example>> = BTreeMap::new();
    let of_rust = |example: &Example| example.kind != Kind::Transcript;
    for example in tests::examples(&root)?.into_iter().filter(of_rust) {
        let line = dependencies.add_line(&example.program());
        projects.entry(line).or_default().push(example);
    }
    ensure!(!projects.is_empty(), "there are no examples");
    for (line, examples) in &projects {
        for edition in ["2021", "2024"] {
            let project = Project::new(&root, line, edition, &examples[0].name)?;
            project.paste(examples)?;
            project.check()?;
        }
    }
    Ok(())
}

/// A cargo project outside the workspace.
struct Project {
    folder: PathBuf,
    line: String,
    edition: String,
}

impl Project {
    /// An empty project in which `line` was run. It is kept, and made anew if the line changes.
    fn new(root: &Path, line: &str, edition: &str, name: &str) -> Result<Self> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{edition}"));
        let project = Self {
            folder,
            line: line.to_owned(),
            edition: edition.to_owned(),
        };
        let added = project.folder.join("added");
        if fs::read_to_string(&added).is_ok_and(|before| before == line) {
            return Ok(project);
        }
        if project.folder.exists() {
            fs::remove_dir_all(&project.folder)?;
        }
        fs::create_dir_all(project.folder.join("src/bin"))?;
        let manifest = format!(
            "[package]\nname = \"pasted\"\nversion = \"0.0.0\"\nedition = \"{edition}\"\n\n\
             [workspace]\n\n[dependencies]\n"
        );
        fs::write(project.folder.join("Cargo.toml"), manifest)?;
        fs::write(project.folder.join("src/main.rs"), "fn main() {}\n")?;
        // The versions that the guide was verified with, and nothing to download.
        fs::copy(root.join("Cargo.lock"), project.folder.join("Cargo.lock"))?;
        project.run(line)?;
        fs::write(added, line)?;
        Ok(project)
    }

    /// Puts the programs and tests into the project, and takes out those that are gone.
    fn paste(&self, examples: &[Example]) -> Result<()> {
        for (kind, folder) in [(Kind::Program, "src/bin"), (Kind::Test, "tests")] {
            let folder = self.folder.join(folder);
            fs::create_dir_all(&folder)?;
            let examples: Vec<_> = examples.iter().filter(|e| e.kind == kind).collect();
            for file in fs::read_dir(&folder)? {
                let file = file?.path();
                let is_it = |e: &&Example| folder.join(e.file_name()) == file;
                if !examples.iter().any(is_it) {
                    fs::remove_file(&file)?;
                }
            }
            for example in examples {
                let file = folder.join(example.file_name());
                let program = example.program();
                // An unchanged file keeps its time, and cargo compiles nothing.
                if fs::read_to_string(&file).is_ok_and(|before| before == program) {
                    continue;
                }
                fs::write(&file, program)?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.run("cargo check --quiet --bins --tests")
            .with_context(|| {
                format!(
                    "pasted into a project of edition {}, after `{}`",
                    self.edition, self.line
                )
            })
    }

    fn run(&self, line: &str) -> Result<()> {
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(&self.folder)
            .env(
                "CARGO_TARGET_DIR",
                Path::new(env!("CARGO_TARGET_TMPDIR")).join("pasted"),
            )
            .output()
            .with_context(|| format!("cannot run {line}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{line} failed:\n{said}");
        Ok(())
    }
}
