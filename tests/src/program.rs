//! Building what readers run, and running one of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use guide::examples::{Example, Kind};
use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Child,
};

/// What a program did.
#[derive(Debug)]
pub struct Run {
    /// What it printed on standard output.
    pub printed: String,
    /// What it printed on standard error.
    pub complained: String,
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// From its start to its end.
    pub took: Duration,
}

/// What runs an example.
#[derive(Clone, Debug)]
pub struct Executable {
    kind: Kind,
    /// A program or test that cargo has built, or the script of a command-line session.
    path: PathBuf,
}

/// Builds examples and returns what runs them, by name.
///
/// Always with the features of the whole workspace: others rebuild librdkafka.
///
/// # Errors
/// One of them does not build.
pub fn build(root: &Path, examples: &[Example]) -> Result<BTreeMap<String, Executable>> {
    let mut executables = BTreeMap::new();
    let mut to_build = Vec::new();
    for example in examples {
        let option = match example.kind {
            Kind::Program => "--example",
            Kind::Test => "--test",
            Kind::Guarantee => bail!("{} is run by --bin guarantees", example.name),
            Kind::Transcript => {
                let path = root.join("snippets").join(example.path());
                let kind = example.kind;
                executables.insert(example.name.clone(), Executable { kind, path });
                continue;
            }
        };
        to_build.extend([option, &example.name]);
    }
    if !to_build.is_empty() {
        let built = built_by_cargo(root, &to_build)?;
        executables.extend(built.into_iter().filter(|(name, executable)| {
            let is_it = |e: &Example| &e.name == name && e.kind == executable.kind;
            examples.iter().any(is_it)
        }));
    }
    let missing = examples.iter().find(|e| !executables.contains_key(&e.name));
    match missing {
        Some(example) => bail!("cargo built no {}", example.name),
        None => Ok(executables),
    }
}

/// Builds binaries of the workspace and programs, and returns their files by name.
///
/// # Errors
/// One of them does not build.
pub fn binaries(
    root: &Path,
    binaries: &[&str],
    programs: &[&str],
) -> Result<BTreeMap<String, PathBuf>> {
    let named = |option: &'static str, names: &[&str]| {
        let pairs = names
            .iter()
            .map(|name| [option.to_owned(), (*name).to_owned()]);
        pairs.flatten().collect::<Vec<_>>()
    };
    let targets = [named("--bin", binaries), named("--example", programs)].concat();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let built = artifacts(root, &targets)?;
    Ok(built
        .into_iter()
        .map(|(_, name, path)| (name, path))
        .collect())
}

fn built_by_cargo(root: &Path, targets: &[&str]) -> Result<Vec<(String, Executable)>> {
    let mut executables = Vec::new();
    for (kind, name, path) in artifacts(root, targets)? {
        let kind = match kind.as_str() {
            "example" => Kind::Program,
            "test" => Kind::Test,
            _ => continue,
        };
        executables.push((name, Executable { kind, path }));
    }
    Ok(executables)
}

/// What cargo has built: the kind, the name and the file of each.
fn artifacts(root: &Path, targets: &[&str]) -> Result<Vec<(String, String, PathBuf)>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--workspace", "--message-format=json"])
        .args(targets)
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo to build the examples")?;
    ensure!(
        built.status.success(),
        "the examples do not build; cargo said why above"
    );
    let mut artifacts = Vec::new();
    for line in String::from_utf8(built.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if let (Some(kind), Some(name), Some(path)) = (
            message["target"]["kind"][0].as_str(),
            message["target"]["name"].as_str(),
            message["executable"].as_str(),
        ) {
            artifacts.push((kind.to_owned(), name.to_owned(), PathBuf::from(path)));
        }
    }
    Ok(artifacts)
}

/// Runs a program with nothing in its environment but `variables`, and ends it at the limit.
///
/// `HOME` is an empty folder, so that no configuration of this machine takes part. No back-trace:
/// anyhow would print one into what is compared.
///
/// # Errors
/// The program cannot be started, or it still runs at the limit.
pub async fn run(
    executable: &Executable,
    variables: &[(String, String)],
    limit: Duration,
) -> Result<Run> {
    let home = tempfile::tempdir()?;
    let started = Instant::now();
    let child = start(executable, variables, home.path(), Stdio::piped())?;
    let group = Group::of(&child)?;
    let Ok(output) = tokio::time::timeout(limit, child.wait_with_output()).await else {
        group.end(Signal::KILL);
        bail!("still runs after {} s and was ended", limit.as_secs());
    };
    let output = output?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Run {
        printed: match executable.kind {
            Kind::Program | Kind::Transcript | Kind::Guarantee => printed,
            Kind::Test => results(&printed),
        },
        complained: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
        took: started.elapsed(),
    })
}

/// Runs a program and lets `event` happen as soon as it has printed its first line.
///
/// # Errors
/// The program prints nothing, the event fails, or the program still runs at the limit.
pub async fn run_through(
    executable: &Executable,
    variables: &[(String, String)],
    limit: Duration,
    event: impl FnOnce() -> Result<()>,
) -> Result<Run> {
    let home = tempfile::tempdir()?;
    let started = Instant::now();
    let mut child = start(executable, variables, home.path(), Stdio::piped())?;
    let group = Group::of(&child)?;
    let mut stdout = BufReader::new(child.stdout.take().context("no pipe to its output")?);
    let mut stderr = child.stderr.take().context("no pipe to its complaints")?;
    let (mut printed, mut complained) = (String::new(), String::new());
    let first = tokio::time::timeout(limit, stdout.read_line(&mut printed)).await;
    ensure!(
        first.context("it printed nothing in time")?? > 0,
        "it ended without a line"
    );
    if let Err(error) = tokio::task::block_in_place(event) {
        group.end(Signal::KILL);
        return Err(error);
    }
    let ended = async {
        tokio::try_join!(
            stdout.read_to_string(&mut printed),
            stderr.read_to_string(&mut complained),
        )?;
        child.wait().await
    };
    let Ok(status) = tokio::time::timeout(limit, ended).await else {
        group.end(Signal::KILL);
        bail!("still runs after {} s and was ended", limit.as_secs());
    };
    Ok(Run {
        printed,
        complained,
        code: status?.code(),
        took: started.elapsed(),
    })
}

/// Starts a program and kills it as soon as it has printed its first line, in the middle of its
/// work: it cannot clean up.
///
/// # Errors
/// The program prints nothing before it ends or before the limit.
pub async fn interrupt(
    executable: &Executable,
    variables: &[(String, String)],
    limit: Duration,
) -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut child = start(executable, variables, home.path(), Stdio::null())?;
    let stdout = child.stdout.take().context("no pipe to its output")?;
    let mut first = String::new();
    let mut stdout = BufReader::new(stdout);
    let reading = stdout.read_line(&mut first);
    let read = tokio::time::timeout(limit, reading).await;
    Group::of(&child)?.end(match executable.kind {
        Kind::Program | Kind::Test | Kind::Guarantee => Signal::KILL,
        // As a terminal that is closed does it; the tools' own members of a group leave it.
        Kind::Transcript => Signal::TERM,
    });
    child.wait().await?;
    ensure!(
        read.context("it printed nothing in time")?? > 0,
        "it ended without a line"
    );
    Ok(())
}

fn start(
    executable: &Executable,
    variables: &[(String, String)],
    home: &Path,
    complaints: Stdio,
) -> Result<Child> {
    let mut command = tokio::process::Command::new(&executable.path);
    if executable.kind == Kind::Test {
        command.arg("--test-threads=1"); // in the order of their names
    }
    command
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", executable.path.display()))
}

/// A program with all that it has started.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Result<Self> {
        let id = child.id().context("it has ended already")?;
        Ok(Self(
            Pid::from_raw(id.cast_signed()).context("no process has the number 0")?,
        ))
    }

    /// The error that there is nothing left to end is none.
    fn end(&self, signal: Signal) {
        let _ = rustix::process::kill_process_group(self.0, signal);
    }
}

/// The lines of a test's output that are the same in every run: `test NAME ... ok`.
fn results(printed: &str) -> String {
    let is_result = |line: &&str| line.starts_with("test ") && !line.starts_with("test result");
    printed
        .lines()
        .filter(is_result)
        .map(|line| format!("{line}\n"))
        .collect()
}

impl Run {
    /// The printed text of a run that ended well.
    ///
    /// # Errors
    /// It ended otherwise; the message holds what it complained about.
    pub fn succeeded(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.printed);
        }
        let code = self
            .code
            .map_or("a signal".to_owned(), |code| format!("exit code {code}"));
        bail!(
            "ended with {code}\nstandard error:\n{}standard output:\n{}",
            self.complained,
            self.printed
        )
    }
}
