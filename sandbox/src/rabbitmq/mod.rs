//! RabbitMQ: Debian's newest package in a root folder of its own, because the one for this system
//! is years old or absent.

pub(crate) mod amqp;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::broker::{Broker, RABBITMQ_SERIES};
use crate::http;
use crate::layout::Layout;
use crate::ports::PortPlan;
use crate::prepare::Prepared;
use crate::prerequisites::find_program;
use crate::process::{Leashed, isolated, leashed, run};
use crate::progress::progress;

/// Changes when the way of making the root folder does, which makes it anew.
const RECIPE: &str = "mmdebstrap sid rabbitmq-server, /etc/hosts";

/// `guest:guest`, which RabbitMQ accepts from this machine only.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// Mounts what the node needs, in a namespace that ends with it, and becomes the node.
const ENTER: &str = r#"root=$1 data=$2; shift 2
mount -t proc proc "$root/proc" &&
mount --rbind /dev "$root/dev" &&
mount --bind "$data" "$root/srv" &&
exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@" \
    /usr/lib/rabbitmq/bin/rabbitmq-server"#;

fn root(layout: &Layout) -> Prepared {
    Prepared::new(layout, "rabbitmq", RECIPE)
}

pub(crate) fn is_prepared(layout: &Layout) -> bool {
    root(layout).is_complete()
}

pub(crate) fn prepare(layout: &Layout) -> Result<()> {
    root(layout).make(|draft| {
        progress(
            Broker::RabbitMq,
            "getting RabbitMQ and Erlang from Debian (240 MB installed)",
        );
        run(
            &mut mmdebstrap(&draft.join("root"))?,
            &draft.join("mmdebstrap.log"),
        )?;
        // Without it the node hangs in name resolution.
        fs::write(draft.join("root/etc/hosts"), "127.0.0.1 localhost\n")
            .context("writing /etc/hosts")?;
        let version = installed_version(&draft.join("root"))?;
        ensure!(
            is_new_enough(&version),
            "Debian has RabbitMQ {version}; the guide needs {RABBITMQ_SERIES} or newer"
        );
        progress(Broker::RabbitMq, &format!("Debian has RabbitMQ {version}"));
        Ok(())
    })
}

fn mmdebstrap(root: &Path) -> Result<Command> {
    // Namespaces of its own: cut off, it leaves nothing mounted and nothing running.
    let mut command = leashed("unshare");
    command
        .args(["--mount", "--mount-proc", "--pid", "--fork", "--kill-child"])
        .args(["mmdebstrap", "--variant=apt"])
        .arg("--include=rabbitmq-server")
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        .arg("--aptopt=Acquire::Check-Valid-Until \"false\"")
        .arg("sid")
        .arg(root)
        .args(debian_mirror()?);
    Ok(command)
}

/// The mirror that this machine's apt uses for Debian. On another system mmdebstrap knows one.
fn debian_mirror() -> Result<Option<String>> {
    if find_program("apt-get").is_none() {
        return Ok(None);
    }
    let output = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(LABEL) $(REPO_URI)",
            "Created-By: Packages",
        ])
        .output()
        .context("asking apt-get for Debian's mirror")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .lines()
        .find_map(|line| line.strip_prefix("Debian "))
        .map(str::to_owned))
}

/// The folder of the installed broker carries its version.
fn installed_version(root: &Path) -> Result<String> {
    let folder = root.join("usr/lib/rabbitmq/lib");
    for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name();
        if let Some(version) = name.to_string_lossy().strip_prefix("rabbitmq_server-") {
            return Ok(version.to_owned());
        }
    }
    bail!("no RabbitMQ in {}", folder.display())
}

fn is_new_enough(version: &str) -> bool {
    series(version) >= series(RABBITMQ_SERIES) && series(version).is_some()
}

fn series(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next()??))
}

/// Starts a node with fresh data in `folder`; it takes seconds until it answers.
pub(crate) fn start(layout: &Layout, ports: &PortPlan, folder: &Path) -> Result<Leashed> {
    fs::create_dir_all(folder.join("home")).context("making the node's home")?;
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")
        .context("writing enabled_plugins")?;
    fs::write(folder.join("rabbitmq.conf"), settings(ports)).context("writing rabbitmq.conf")?;
    // The namespace of processes dies with its first one, and so does epmd, which goes into the
    // background by itself.
    let mut command = isolated("unshare");
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "--pid",
            "--fork",
            "--kill-child",
        ])
        .args(["sh", "-c", ENTER, "rabbitmq"])
        .arg(root(layout).folder.join("root"))
        .arg(folder)
        .args(environment(ports));
    Leashed::spawn(&mut command, &log(folder))
}

pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("rabbitmq.log")
}

fn settings(ports: &PortPlan) -> String {
    format!(
        "loopback_users.guest = true
management.tcp.ip = 127.0.0.1
management.tcp.port = {}
",
        ports.management
    )
}

fn environment(ports: &PortPlan) -> Vec<String> {
    vec![
        "HOME=/srv/home".into(),
        "RABBITMQ_NODENAME=rabbit@localhost".into(),
        "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1".into(),
        format!("RABBITMQ_NODE_PORT={}", ports.amqp),
        format!("RABBITMQ_DIST_PORT={}", ports.erlang_distribution),
        format!("ERL_EPMD_PORT={}", ports.epmd),
        "ERL_EPMD_ADDRESS=127.0.0.1".into(),
        "RABBITMQ_MNESIA_BASE=/srv/mnesia".into(),
        "RABBITMQ_LOG_BASE=/srv/log".into(),
        "RABBITMQ_LOGS=-".into(),
        "RABBITMQ_CONFIG_FILE=/srv/rabbitmq".into(),
        "RABBITMQ_CONF_ENV_FILE=/dev/null".into(),
        "RABBITMQ_ENABLED_PLUGINS_FILE=/srv/enabled_plugins".into(),
        "RABBITMQ_PID_FILE=/srv/pid".into(),
        // Idle schedulers sleep at once: the machine has other work.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} \
         +sbwt none +sbwtdcpu none +sbwtdio none"
            .into(),
    ]
}

/// RabbitMQ's own command line, run where the node is: it shares the node's cookie and host name.
/// Returns what it prints.
pub(crate) fn control(node: i32, ports: &PortPlan, arguments: &[&str]) -> Result<String> {
    let output = Command::new("nsenter")
        .arg(format!("--target={node}"))
        .args(["--mount", "--pid", "--root", "env", "--ignore-environment"])
        .args([
            "--chdir=/",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
        ])
        .args(environment(ports))
        .arg("/usr/lib/rabbitmq/bin/rabbitmqctl")
        .args(arguments)
        .output()
        .context("running rabbitmqctl")?;
    ensure!(
        output.status.success(),
        "rabbitmqctl {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a node says about itself.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub version: String,
    pub name: String,
    /// `protocol address:port`
    pub listeners: Vec<String>,
}

/// Asks a node of this machine: a greeting by AMQP, then the management API.
pub(crate) fn probe(ports: &PortPlan) -> Result<Node> {
    let limit = Duration::from_secs(5);
    let greeting = amqp::greet("127.0.0.1", ports.amqp, limit)?;
    let url = format!("http://127.0.0.1:{}/api/overview", ports.management);
    let overview = http::get_json(&http::agent(limit), &url, Some(GUEST))?;
    let node = overview["node"]
        .as_str()
        .context("the management API names no node")?;
    Ok(Node {
        version: greeting.version,
        name: node.to_owned(),
        listeners: listeners(&overview),
    })
}

fn listeners(overview: &Value) -> Vec<String> {
    let listeners = overview["listeners"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    listeners
        .iter()
        .map(|listener| {
            let text = |key: &str| listener[key].as_str().unwrap_or("?").to_owned();
            format!(
                "{} {}:{}",
                text("protocol"),
                text("ip_address"),
                listener["port"]
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_series_is_compared_as_numbers() {
        for (version, expected) in [
            ("4.3.6", true),
            ("4.10.0", true),
            ("5.0.0", true),
            ("4.2.9", false),
            ("3.13.7", false),
            ("x", false),
        ] {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
