//! Building the example programs and running one of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};

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

/// Builds the named examples, or all of the workspace if none is named, and returns their
/// executables by name.
///
/// Always with the features of the whole workspace: others rebuild librdkafka.
pub fn build(root: &Path, names: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--workspace", "--message-format=json"]);
    match names {
        [] => command.arg("--examples"),
        names => command.args(names.iter().flat_map(|name| ["--example", name])),
    };
    let built = command
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo to build the examples")?;
    ensure!(
        built.status.success(),
        "the examples do not build; cargo said why above"
    );
    let mut executables = BTreeMap::new();
    for line in String::from_utf8(built.stdout)?.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if message["target"]["kind"][0] != "example" {
            continue;
        }
        if let (Some(name), Some(path)) = (
            message["target"]["name"].as_str(),
            message["executable"].as_str(),
        ) {
            executables.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(executables)
}

/// Runs a program with nothing in its environment but `variables`, and ends it at the limit.
///
/// `HOME` is an empty folder, so that no configuration of this machine takes part. No back-trace:
/// anyhow would print one into what is compared.
///
/// # Errors
/// The program cannot be started, or it still runs at the limit.
pub async fn run(
    executable: &Path,
    variables: &[(String, String)],
    limit: Duration,
) -> Result<Run> {
    let home = tempfile::tempdir()?;
    let started = Instant::now();
    let output = command(executable, variables, home.path()).output();
    let Ok(output) = tokio::time::timeout(limit, output).await else {
        bail!("still runs after {} s and was ended", limit.as_secs());
    };
    let output = output.with_context(|| format!("cannot start {}", executable.display()))?;
    Ok(Run {
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
        complained: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
        took: started.elapsed(),
    })
}

/// Starts a program and kills it as soon as it has printed its first line, in the middle of its
/// work: it cannot clean up.
///
/// # Errors
/// The program prints nothing before it ends or before the limit.
pub async fn interrupt(
    executable: &Path,
    variables: &[(String, String)],
    limit: Duration,
) -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut child = command(executable, variables, home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", executable.display()))?;
    let stdout = child.stdout.take().context("no pipe to its output")?;
    let mut first = String::new();
    let mut stdout = BufReader::new(stdout);
    let reading = stdout.read_line(&mut first);
    let read = tokio::time::timeout(limit, reading).await;
    child.kill().await?;
    ensure!(
        read.context("it printed nothing in time")?? > 0,
        "it ended without a line"
    );
    Ok(())
}

fn command(
    executable: &Path,
    variables: &[(String, String)],
    home: &Path,
) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(executable);
    command
        .env_clear()
        .env("HOME", home)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
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
