//! The house in order: a program, its output and its page belong together, and each program keeps
//! the contract that its readers rely on.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use guide::{
    Dependencies,
    examples::{Example, Kind},
};
use regex::Regex;
use tests::compare::compare;

/// The longest program that a reader can be asked to take in.
const MAX_LINES: usize = 160;

/// Collects breaches and fails with all of them.
fn none(breaches: Vec<String>) -> Result<()> {
    ensure!(breaches.is_empty(), "{}", breaches.join("\n"));
    Ok(())
}

fn all_examples() -> Result<Vec<Example>> {
    let examples = tests::examples(&tests::root())?;
    ensure!(!examples.is_empty(), "there are no examples");
    Ok(examples)
}

#[test]
fn every_program_has_an_output_whose_record_fits() -> Result<()> {
    let root = tests::root();
    let mut breaches = Vec::new();
    for example in all_examples()? {
        match example.recording(&root) {
            Err(missing) => breaches.push(missing.to_string()),
            Ok(recording) => {
                let (output, varies) = (&recording.output, &recording.record.varies);
                if let Err(error) = compare(output, output, varies) {
                    breaches.push(format!("{}: {error:#}", example.name));
                }
            }
        }
    }
    none(breaches)
}

#[test]
fn every_output_has_a_program() -> Result<()> {
    let examples = all_examples()?;
    let mut breaches = Vec::new();
    for folder in fs::read_dir(tests::root().join("snippets"))? {
        let folder = folder?;
        for files in ["output", "transcripts"] {
            let Ok(files) = fs::read_dir(folder.path().join(files)) else {
                continue;
            };
            for file in files {
                let file = file?.path();
                let is_it = |e: &Example| {
                    let own = ["txt", "toml"].map(|kind| tests::root().join(e.output_file(kind)));
                    own.contains(&file) || file == snippet(e)
                };
                if !examples.iter().any(is_it) {
                    breaches.push(format!(
                        "{} belongs to no program; remove it",
                        file.display()
                    ));
                }
            }
        }
    }
    none(breaches)
}

#[test]
fn every_program_is_on_a_page() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let built = guide::build::build_into(&tests::root(), folder.path())?;
    let missing = all_examples()?
        .into_iter()
        .filter(|example| !built.programs.contains(&example.name));
    none(
        missing
            .map(|e| format!("no page has {{{{#proof {}}}}}", e.name))
            .collect(),
    )
}

/// A number, a default, a limit or a "never" that has no mark is a fact to be believed.
#[test]
fn every_fact_of_the_prose_has_a_mark() -> Result<()> {
    let problems = guide::unmarked::unmarked(&tests::root())?;
    none(problems.iter().map(ToString::to_string).collect())
}

/// A link of the documents at the top leads to a file.
#[test]
fn the_documents_link_to_what_is_there() -> Result<()> {
    let link = Regex::new(r"\]\(([^):#]+)\)")?;
    let mut breaches = Vec::new();
    for document in ["README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(tests::root().join(document))?;
        for found in link.captures_iter(&text) {
            if !tests::root().join(&found[1]).exists() {
                breaches.push(format!("{document}: there is no {}", &found[1]));
            }
        }
    }
    none(breaches)
}

/// The file of an example.
fn snippet(example: &Example) -> PathBuf {
    tests::root().join("snippets").join(example.path())
}

#[test]
fn every_program_keeps_the_contract() -> Result<()> {
    let shortcut = Regex::new(r"\.unwrap\(\)|\.expect\(")?;
    let glob = Regex::new(r"\buse\s[^;]*\*")?;
    let hidden = Regex::new(r"(?m)^# ")?;
    let mut breaches = Vec::new();
    for example in all_examples()? {
        let (name, program) = (&example.name, example.program());
        let (comment, code) = match example.kind {
            Kind::Program | Kind::Test | Kind::Guarantee => {
                ("//!", guide::rust_code_only(&program))
            }
            Kind::Transcript => ("#", String::new()),
        };
        // Anchors count: the file is what one reads.
        let lines = fs::read_to_string(snippet(&example))?.lines().count();
        let run = format!("\n{comment} Run: `{}`", example.run_line());
        let says = |what: &str| program.contains(&format!("\n{comment} {what}"));
        for (kept, breach) in [
            (
                name.starts_with(&format!("{}_", example.system().name())),
                "name without its system's prefix",
            ),
            (
                program.starts_with(&format!("{comment} ")) || says(""),
                "no sentence at its top that says what it shows",
            ),
            (says("Guarantee: "), "no line `Guarantee:` in its header"),
            (
                program.contains(&run),
                "no line in its header that says how to run it",
            ),
            (lines <= MAX_LINES, "too long to be read"),
            (!shortcut.is_match(&code), "unwrap or expect"),
            (!glob.is_match(&code), "a glob import"),
            (
                code.is_empty() || !hidden.is_match(&program),
                "a hidden line",
            ),
        ] {
            if !kept {
                breaches.push(format!("{}: {breach}", example.path()));
            }
        }
    }
    none(breaches)
}

/// Licences under which the guide's programs may be built upon, without asking anybody.
const LICENCES: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CC-BY-4.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "Unicode-3.0",
    "Zlib",
];

#[test]
fn every_dependency_has_a_known_licence() -> Result<()> {
    let allowed = |requirement: &spdx::LicenseReq| {
        let id = requirement.license.id();
        id.is_some_and(|id| LICENCES.contains(&id.name))
    };
    let mut breaches = Vec::new();
    for package in packages()? {
        let name = format!("{} {}", package["name"], package["version"]);
        let Some(licence) = package["license"].as_str() else {
            breaches.push(format!("{name} states no licence"));
            continue;
        };
        let parsed = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX);
        if !parsed.is_ok_and(|expression| expression.evaluate(allowed)) {
            breaches.push(format!("{name}: {licence}"));
        }
    }
    none(breaches)
}

/// A reader who copies two programs gets one version of each crate, and skeptic links the one that
/// is meant.
#[test]
fn every_crate_of_a_program_has_one_version() -> Result<()> {
    let dependencies = Dependencies::load(&tests::root())?;
    let programs = all_examples()?;
    let named: BTreeSet<String> = programs
        .iter()
        .flat_map(|example| dependencies.used_by(&example.program()))
        .map(|dependency| dependency.name.clone())
        .collect();
    ensure!(!named.is_empty(), "the programs name no crate");
    let packages = packages()?;
    let mut breaches = Vec::new();
    for name in named {
        let versions: Vec<&str> = packages
            .iter()
            .filter(|package| package["name"] == name.as_str())
            .filter_map(|package| package["version"].as_str())
            .collect();
        if versions.len() != 1 {
            breaches.push(format!("{name} has versions {}", versions.join(", ")));
        }
    }
    none(breaches)
}

fn packages() -> Result<Vec<serde_json::Value>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .current_dir(tests::root())
        .args(["metadata", "--format-version=1", "--locked"])
        .output()
        .context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo metadata failed: {said}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array();
    Ok(packages
        .context("cargo metadata lists no packages")?
        .clone())
}

/// The page that counts the same job counts it right.
#[test]
fn the_same_job_has_the_lines_that_its_page_says() -> Result<()> {
    let page = fs::read_to_string(tests::root().join("book/compare/what-each-took.md"))?;
    let lines = |name: &str| -> Result<usize> {
        let program = Example::find(&tests::root(), name).map_err(anyhow::Error::msg)?;
        Ok(program.program().lines().count())
    };
    let (kafka, rabbitmq, sns) = (
        lines("kafka_order")?,
        lines("rabbitmq_order")?,
        lines("sns_order")?,
    );
    let row = format!("| Lines of the program | {kafka} | {rabbitmq} | {sns} |");
    ensure!(
        page.contains(&row),
        "book/compare/what-each-took.md should say: {row}"
    );
    Ok(())
}

/// A command on a page runs a program that is there.
#[test]
fn every_example_that_a_page_runs_exists() -> Result<()> {
    let command = Regex::new(r"--example ([a-z][a-z0-9_]+)")?;
    let known: BTreeSet<String> = all_examples()?.into_iter().map(|e| e.name).collect();
    let mut breaches = Vec::new();
    for (file, text) in guide::build::expanded_markdown(&tests::root())? {
        for found in command.captures_iter(&text) {
            if !known.contains(&found[1]) {
                breaches.push(format!(
                    "{}: there is no program {}",
                    file.display(),
                    &found[1]
                ));
            }
        }
    }
    none(breaches)
}
