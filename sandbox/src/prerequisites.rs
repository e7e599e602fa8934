//! The programs of the system that the brokers need, and the command that installs them.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::broker::Broker;
use crate::layout::Layout;
use crate::process::tail;
use crate::progress::note;

/// Kafka 4 needs Java 17.
const OLDEST_JAVA: u32 = 17;
/// What the pinned requirements of LocalStack are resolved for.
const OLDEST_PYTHON: &str = "3.10";

/// A program that is not there, and the package that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Missing {
    what: String,
    package: &'static str,
}

/// Makes sure that what `brokers` need is installed: as root on Debian or Ubuntu it installs it,
/// otherwise the error has the command that does.
pub(crate) fn require(layout: &Layout, brokers: &[Broker]) -> Result<()> {
    const OTHERWISE: &str = "use Docker: `docker compose up -d --wait`";
    provide(layout, || find_missing(brokers), OTHERWISE)
}

/// The same for programs that are no part of a broker: each with the package that has it. The error
/// also has what to do where there is no such package.
pub(crate) fn require_programs(
    layout: &Layout,
    programs: &[(&str, &'static str)],
    otherwise: &str,
) -> Result<()> {
    let missing = || {
        let missing = programs
            .iter()
            .filter_map(|(program, package)| missing_program(program, package));
        missing.collect()
    };
    provide(layout, missing, otherwise)
}

fn provide(
    layout: &Layout,
    find_missing: impl Fn() -> Vec<Missing>,
    otherwise: &str,
) -> Result<()> {
    let missing = find_missing();
    if missing.is_empty() {
        return Ok(());
    }
    if !is_root() || find_program("apt-get").is_none() {
        bail!("{}", advice(&missing, otherwise));
    }
    let packages = packages(&missing);
    note(&format!("installing with apt-get: {}", packages.join(" ")));
    install(layout, &packages).with_context(|| advice(&missing, otherwise))?;
    match find_missing() {
        missing if missing.is_empty() => Ok(()),
        missing => bail!("after the installation: {}", advice(&missing, otherwise)),
    }
}

/// RabbitMQ's own root folder needs chroot and mounts.
pub(crate) fn require_rights(brokers: &[Broker]) -> Result<()> {
    if !brokers.contains(&Broker::RabbitMq) {
        return Ok(());
    }
    if !is_root() {
        bail!(
            "RabbitMQ without Docker needs root (it runs in a root folder of its own): run \
             `sudo -E env PATH=\"$PATH\" cargo run --bin sandbox -- up`, or use Docker: `docker compose up -d --wait`"
        );
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut missing = missing_rights(&status);
    // A container may have the right and forbid the call.
    let may_mount =
        || succeeds(Command::new("unshare").args(["--mount", "--pid", "--fork", "true"]));
    if missing.is_empty() && !may_mount() {
        missing.push("the call unshare");
    }
    ensure!(
        missing.is_empty(),
        "RabbitMQ without Docker runs in a root folder and mounts of its own, and this root lacks {}: \
         start the container with more rights (`--privileged`), or set AMQP_URL to a RabbitMQ elsewhere, \
         or use Docker: `docker compose up -d --wait rabbitmq`",
        missing.join(", ")
    );
    Ok(())
}

/// The rights of root that are not in the effective set of a `/proc/PID/status`. Containers take some.
fn missing_rights(status: &str) -> Vec<&'static str> {
    const NEEDED: [(u32, &str); 2] = [(18, "CAP_SYS_CHROOT"), (21, "CAP_SYS_ADMIN")];
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(set) = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()) else {
        return Vec::new();
    };
    let missing = NEEDED.iter().filter(|(bit, _)| set & (1 << bit) == 0);
    missing.map(|(_, name)| *name).collect()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn advice(missing: &[Missing], otherwise: &str) -> String {
    let what: Vec<_> = missing
        .iter()
        .map(|missing| missing.what.as_str())
        .collect();
    format!(
        "{} missing: run `{}apt-get install -y --no-install-recommends {}` (Debian or Ubuntu), or {otherwise}",
        what.join(", "),
        if is_root() { "" } else { "sudo " },
        packages(missing).join(" "),
    )
}

fn packages(missing: &[Missing]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|missing| missing.package).collect();
    packages.dedup();
    packages
}

fn install(layout: &Layout, packages: &[&str]) -> Result<()> {
    let log = layout.home.join("apt-get.log");
    apt_get(&["update"], &log)?;
    apt_get(
        &["install", "-y", "--no-install-recommends"]
            .iter()
            .chain(packages)
            .copied()
            .collect::<Vec<_>>(),
        &log,
    )
}

/// Not on a leash: an installation that is killed in the middle leaves the system's packages
/// half configured.
fn apt_get(arguments: &[&str], log: &Path) -> Result<()> {
    let output = File::options()
        .create(true)
        .append(true)
        .open(log)
        .context("opening apt-get's log")?;
    let errors = output.try_clone().context("sharing apt-get's log")?;
    let status = Command::new("apt-get")
        .arg("-q")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .status()
        .context("starting apt-get")?;
    ensure!(
        status.success(),
        "apt-get {}: {status}; the end of {}:\n{}",
        arguments.join(" "),
        log.display(),
        tail(log)
    );
    Ok(())
}

fn find_missing(brokers: &[Broker]) -> Vec<Missing> {
    brokers
        .iter()
        .flat_map(|broker| match broker {
            Broker::Kafka => missing_for_kafka(),
            Broker::RabbitMq => missing_for_rabbitmq(),
            Broker::LocalStack => missing_for_localstack(),
        })
        .collect()
}

fn missing_for_kafka() -> Vec<Missing> {
    let mut missing = Vec::new();
    if let Some(what) = java_problem() {
        missing.push(Missing {
            what,
            package: java_package(),
        });
    }
    missing.extend(missing_program("mvn", "maven"));
    missing
}

fn missing_for_rabbitmq() -> Vec<Missing> {
    let mut missing = Vec::from_iter(missing_program("mmdebstrap", "mmdebstrap"));
    // Debian's signatures can be checked on Ubuntu too once it has Debian's keys.
    let keys =
        ["gpg", "pgp"].map(|kind| format!("/usr/share/keyrings/debian-archive-keyring.{kind}"));
    if !keys.iter().any(|keys| Path::new(keys).exists()) {
        let what = "the keys of Debian's archive".into();
        missing.push(Missing {
            what,
            package: "debian-archive-keyring",
        });
    }
    missing
}

fn missing_for_localstack() -> Vec<Missing> {
    let check = format!(
        "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] < ({}))",
        OLDEST_PYTHON.replace('.', ", ")
    );
    if succeeds(Command::new("python3").args(["-c", &check])) {
        return Vec::new();
    }
    let what = format!("Python {OLDEST_PYTHON} or newer with venv");
    vec![Missing {
        what,
        package: "python3-venv",
    }]
}

fn missing_program(program: &str, package: &'static str) -> Option<Missing> {
    let what = program.into();
    find_program(program)
        .is_none()
        .then_some(Missing { what, package })
}

/// The Java that Kafka runs with: that of `JAVA_HOME`, else the first on the path.
pub(crate) fn java() -> Option<PathBuf> {
    env::var_os("JAVA_HOME")
        .map(|home| Path::new(&home).join("bin/java"))
        .filter(|java| java.is_file())
        .or_else(|| find_program("java"))
}

fn java_problem() -> Option<String> {
    let Some(java) = java() else {
        return Some(format!("Java {OLDEST_JAVA} or newer"));
    };
    let output = Command::new(&java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    match java_version(&text) {
        Some(version) if version >= OLDEST_JAVA => None,
        Some(version) => Some(format!(
            "Java {OLDEST_JAVA} or newer ({} is {version})",
            java.display()
        )),
        None => Some(format!(
            "Java {OLDEST_JAVA} or newer ({} tells no version)",
            java.display()
        )),
    }
}

/// The feature release in what `java -version` prints; `1.8` is 8.
fn java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    let mut parts = quoted
        .split(['.', '-', '_', '+'])
        .map(|part| part.parse().ok());
    match parts.next()? {
        Some(1) => parts.next()?,
        first => first,
    }
}

/// The oldest Java that is new enough and that this system's archive has.
fn java_package() -> &'static str {
    [
        "openjdk-17-jre-headless",
        "openjdk-21-jre-headless",
        "openjdk-25-jre-headless",
    ]
    .into_iter()
    .find(|package| succeeds(Command::new("apt-cache").args(["show", package])))
    .unwrap_or("openjdk-17-jre-headless")
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether package managers can keep what they download where they do by default.
pub(crate) fn has_writable_home() -> bool {
    env::var_os("HOME").is_some_and(|home| succeeds(Command::new("test").arg("-w").arg(home)))
}

/// The first file of that name on the path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    find_program_in(name, &env::var_os("PATH")?)
}

fn find_program_in(name: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|file| fs::metadata(file).is_ok_and(|metadata| metadata.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_release_of_a_java() {
        let cases = [
            ("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK", Some(17)),
            ("java version \"1.8.0_412\"", Some(8)),
            ("openjdk version \"25-ea\"", Some(25)),
            ("bash: java: not found", None),
        ];
        for (text, expected) in cases {
            assert_eq!(java_version(text), expected, "{text}");
        }
    }

    #[test]
    fn the_rights_that_a_container_takes_are_named() {
        let status = |set: &str| format!("Name:\tsh\nCapEff:\t{set}\n");
        assert_eq!(
            missing_rights(&status("000001ffffffffff")),
            Vec::<&str>::new()
        );
        assert_eq!(
            missing_rights(&status("00000000a80425fb")),
            ["CAP_SYS_ADMIN"]
        );
        assert_eq!(missing_rights(""), Vec::<&str>::new());
    }

    #[test]
    fn the_advice_is_one_command() {
        let missing = [
            Missing {
                what: "Java 17 or newer".into(),
                package: "openjdk-17-jre-headless",
            },
            Missing {
                what: "mvn".into(),
                package: "maven",
            },
        ];
        let advice = advice(&missing, "use Docker");
        assert!(
            advice.starts_with("Java 17 or newer, mvn missing: run `"),
            "{advice}"
        );
        assert!(
            advice.contains(
                "apt-get install -y --no-install-recommends openjdk-17-jre-headless maven`"
            ),
            "{advice}"
        );
        assert!(!advice.contains('\n'), "{advice}");
    }

    #[test]
    fn a_program_is_found_on_the_path_only() {
        assert!(find_program_in("sh", OsStr::new("/nowhere:/bin")).is_some());
        assert_eq!(find_program_in("sh", OsStr::new("/nowhere")), None);
    }
}
