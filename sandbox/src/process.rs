//! Processes: started in a session of their own and on a leash, found again by pid and start
//! time, ended with everything that they started.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::{FDTarget, Process, all_processes};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// The leash: a shell between the starter and the program holds the read end of a pipe. When the
/// starter ends without a word, however it ends, the whole process group is killed; a line read
/// lets the program go on alone. The program replaces the shell, so it keeps its pid.
///
/// It may open as many files as the system lets it, but not a billion, as some container engines
/// allow: Erlang and apt go through all that might be open, which takes them minutes.
const LEASH: &str = r#"files=$(ulimit -Hn)
[ "$files" -le 16384 ] 2>/dev/null || files=16384
ulimit -n "$files"
exec 3<&0 </dev/null
( { read -r word <&3 || kill -KILL 0; } & )
exec "$@" 3<&-"#;

/// A command that, when spawned as [`Leashed`], runs `program` as leader of a new session, with
/// signals as by default (a shell without job control lets its children ignore Ctrl-C).
pub fn leashed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command
        .args(["sh", "-c", LEASH, "sandbox", "env", "--default-signal"])
        .arg(program);
    command
}

/// The same with an environment that is empty except for `PATH`: no setting of the user's shell
/// changes a broker.
pub(crate) fn isolated(program: impl AsRef<OsStr>) -> Command {
    let mut command = leashed(program);
    command
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

/// A running program that dies with this process, even when that is killed.
#[derive(Debug)]
pub struct Leashed {
    child: Child,
    leash: Option<ChildStdin>,
    log: PathBuf,
}

impl Leashed {
    /// Starts a command made by [`leashed`]; what it prints goes to the file `log`.
    ///
    /// # Errors
    ///
    /// The log can't be written, or `setsid` is missing.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("opening the log {}", log.display()))?;
        let errors = output.try_clone().context("sharing the log")?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .context("starting `setsid`: it belongs to util-linux (apt-get install util-linux)")?;
        let leash = child.stdin.take();
        Ok(Self {
            child,
            leash,
            log: log.to_path_buf(),
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn stamp(&self) -> Result<Stamp> {
        Stamp::of(self.pid())
    }

    /// How the program ended, once it has.
    ///
    /// # Errors
    ///
    /// The system doesn't tell.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("asking for the exit status")
    }

    /// Waits for the program to end by itself.
    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        let status = self
            .child
            .wait()
            .context("waiting for the program to end")?;
        Ok(status)
    }

    /// Asks the program to end, waits until it has, and removes the leash.
    pub(crate) fn end_by_itself(mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.pid()) {
            kill_process(pid, Signal::TERM).context("asking the program to end")?;
        }
        self.wait()?;
        self.kill()
    }

    /// Lets the program live on after this process.
    pub(crate) fn release(mut self) -> Result<()> {
        if let Some(mut leash) = self.leash.take() {
            leash
                .write_all(b"stay\n")
                .context("releasing the program")?;
        }
        Ok(())
    }

    /// Ends the program and all that it started, and returns when they are gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        // The leash is still held, so its shell keeps the group's number from being used anew.
        let members = family(self.pid());
        kill_group(self.pid())?;
        self.leash = None;
        self.child
            .wait()
            .context("waiting for the killed program")?;
        await_gone(&members)
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        if self.leash.is_some()
            && let Err(error) = self.kill()
        {
            eprintln!("process {} may still run: {error:#}", self.pid());
        }
    }
}

/// Runs a command made by [`leashed`] to its end.
///
/// # Errors
///
/// It can't be started or fails; the error has the last lines of its output.
pub fn run(command: &mut Command, log: &Path) -> Result<()> {
    let mut running = Leashed::spawn(command, log)?;
    let status = running.wait()?;
    running.leash = None;
    ensure!(
        status.success(),
        "{status}; the end of {}:\n{}",
        log.display(),
        tail(log)
    );
    Ok(())
}

/// The last lines of a log, indented.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    if lines.is_empty() {
        return "    (it printed nothing)".into();
    }
    let last: Vec<_> = lines[lines.len().saturating_sub(10)..]
        .iter()
        .map(|line| format!("    {line}"))
        .collect();
    last.join("\n")
}

/// A process that can't be mistaken for a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    pub pid: i32,
    /// Clock ticks between the machine's start and the process's.
    started: u64,
    boot: String,
}

impl Stamp {
    pub fn of(pid: i32) -> Result<Self> {
        let stat = Process::new(pid)
            .and_then(|process| process.stat())
            .with_context(|| format!("reading /proc/{pid}/stat"))?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self {
            pid,
            started: stat.starttime,
            boot: boot.trim().to_owned(),
        })
    }

    /// A file name that no other process has had or will have.
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.pid, self.started, self.boot)
    }

    pub fn of_this_process() -> Result<Self> {
        Self::of(i32::try_from(std::process::id()).context("the pid of this process")?)
    }

    pub fn is_running(&self) -> bool {
        Self::of(self.pid).is_ok_and(|now| now == *self) && !is_gone(self.pid)
    }

    /// Ends the process, which leads its group, and all that it started. Does nothing when it has
    /// ended, even if another process has its pid now.
    pub fn end(&self) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        let members = family(self.pid);
        kill_group(self.pid)?;
        await_gone(&members)
    }
}

fn kill_group(leader: i32) -> Result<()> {
    let Some(group) = Pid::from_raw(leader) else {
        bail!("{leader} is not a process");
    };
    match kill_process_group(group, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("ending the process group {leader}")),
    }
}

fn await_gone(pids: &[i32]) -> Result<()> {
    let deadline = Instant::now() + GONE;
    while let Some(left) = pids.iter().find(|pid| !is_gone(**pid)) {
        ensure!(
            Instant::now() < deadline,
            "process {left} was killed and is still there"
        );
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// A zombie is gone: it holds nothing, and only its parent can remove it. But as long as it has
/// other threads these still hold its sockets.
fn is_gone(pid: i32) -> bool {
    Process::new(pid)
        .and_then(|process| process.stat())
        .map_or(true, |stat| stat.state == 'Z' && stat.num_threads <= 1)
}

pub(crate) fn is_named(pid: i32, name: &str) -> bool {
    Process::new(pid)
        .and_then(|process| process.stat())
        .is_ok_and(|stat| stat.comm == name)
}

/// Whether a signal has paused the process.
pub(crate) fn is_stopped(pid: i32) -> bool {
    Process::new(pid)
        .and_then(|process| process.stat())
        .is_ok_and(|stat| stat.state == 'T')
}

/// The process and all its descendants.
pub(crate) fn family(root: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = all_processes()
        .into_iter()
        .flatten()
        .filter_map(|process| process.ok()?.stat().ok())
        .map(|stat| (stat.pid, stat.ppid))
        .collect();
    let mut members = vec![root];
    let mut next = 0;
    while let Some(&parent) = members.get(next) {
        members.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    members
}

/// The addresses on which any of the processes listens for TCP connections.
pub(crate) fn listening(pids: &[i32]) -> Result<Vec<SocketAddr>> {
    let inodes: HashSet<u64> = pids.iter().flat_map(|pid| socket_inodes(*pid)).collect();
    Ok(listeners()?
        .into_iter()
        .filter(|entry| inodes.contains(&entry.inode))
        .map(|entry| entry.local_address)
        .collect())
}

/// The process that listens on a port of this machine: its pid and name, if they can be read.
pub(crate) fn listener_on(port: u16) -> Option<(i32, String)> {
    let inodes: HashSet<u64> = listeners()
        .ok()?
        .into_iter()
        .filter(|entry| entry.local_address.port() == port)
        .map(|entry| entry.inode)
        .collect();
    let owner = all_processes().ok()?.flatten().find(|process| {
        socket_inodes(process.pid)
            .iter()
            .any(|inode| inodes.contains(inode))
    })?;
    let name = owner.stat().ok()?.comm;
    Some((owner.pid, name))
}

fn listeners() -> Result<Vec<TcpNetEntry>> {
    let mut entries = procfs::net::tcp().context("reading /proc/net/tcp")?;
    // Absent where IPv6 is turned off.
    entries.extend(procfs::net::tcp6().unwrap_or_default());
    entries.retain(|entry| entry.state == TcpState::Listen);
    Ok(entries)
}

fn socket_inodes(pid: i32) -> Vec<u64> {
    let Ok(descriptors) = Process::new(pid).and_then(|process| process.fd()) else {
        return Vec::new();
    };
    descriptors
        .flatten()
        .filter_map(|descriptor| match descriptor.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect()
}

/// Removes a folder; one that is not there is fine.
pub(crate) fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("removing {}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a shell script that stands in for a broker: only its life counts here.
    fn start(script: &str, folder: &Path) -> Leashed {
        Leashed::spawn(leashed("sh").args(["-c", script]), &folder.join("log")).unwrap()
    }

    fn await_that(what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !holds() {
            assert!(Instant::now() < deadline, "not in 10 s: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the system does when this process is killed: it closes the pipe.
    fn die(leashed: &mut Leashed) {
        leashed.leash = None;
    }

    #[test]
    fn a_program_and_its_children_die_with_their_starter() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = start("sleep 60 & sleep 60", folder.path());
        await_that("three processes", || family(program.pid()).len() == 3);
        let members = family(program.pid());
        die(&mut program);
        await_that("all are gone", || members.iter().all(|pid| is_gone(*pid)));
    }

    #[test]
    fn a_released_program_outlives_its_starter_and_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let program = start("echo started; exec sleep 60", folder.path());
        await_that("it runs", || tail(program.log()).contains("started"));
        let stamp = program.stamp().unwrap();
        program.release().unwrap();
        assert!(stamp.is_running());
        stamp.end().unwrap();
        assert!(!stamp.is_running());
        stamp.end().unwrap();
    }

    #[test]
    fn another_process_with_the_same_pid_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut program = start("exec sleep 60", folder.path());
        let mut earlier = program.stamp().unwrap();
        earlier.started -= 1;
        earlier.end().unwrap();
        assert_eq!(program.exited().unwrap(), None);
        program.kill().unwrap();
    }

    #[test]
    fn signals_that_the_starter_ignores_are_not_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let mut inner = leashed("sh");
        inner.args(["-c", "kill -INT $$; echo ignored"]);
        // So a shell without job control starts what it puts into the background.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' INT; exec \"$@\"", "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        let mut program = Leashed::spawn(&mut command, &folder.path().join("log")).unwrap();
        program.wait().unwrap();
        assert!(!tail(program.log()).contains("ignored"));
    }

    #[test]
    fn the_error_of_a_failed_command_ends_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let script = "for line in $(seq 99); do echo line $line; done; exit 3";
        let error = run(
            leashed("sh").args(["-c", script]),
            &folder.path().join("log"),
        )
        .unwrap_err()
        .to_string();
        assert!(error.starts_with("exit status: 3; the end of "), "{error}");
        assert!(
            error.contains("    line 90\n") && !error.contains("line 89"),
            "{error}"
        );
    }
}
