//! RabbitMQ: Debian's newest package in a root folder of its own, because the one for this system
//! is years old or absent.

pub(crate) mod amqp;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
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

/// What a node must know of its cluster.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub name: String,
    /// The names of all nodes, its own included; empty for a node that is alone.
    pub peers: Vec<String>,
    /// The secret that nodes of one cluster share; a node that is alone makes its own.
    pub cookie: Option<String>,
}

impl Member {
    pub fn alone() -> Self {
        Self {
            name: "rabbit@localhost".into(),
            peers: Vec::new(),
            cookie: None,
        }
    }

    /// The members of a new cluster.
    pub fn of_cluster(nodes: usize) -> Result<Vec<Self>> {
        let cookie: [u8; 16] = crate::random::bytes()?;
        let cookie = cookie.map(|byte| format!("{byte:02x}")).concat();
        let peers: Vec<_> = (1..=nodes).map(node_name).collect();
        let member = |name: &String| Self {
            name: name.clone(),
            peers: peers.clone(),
            cookie: Some(cookie.clone()),
        };
        Ok(peers.iter().map(member).collect())
    }
}

/// The name of a node of a cluster, from 1.
pub(crate) fn node_name(node: usize) -> String {
    format!("n{node}@localhost")
}

/// Starts a node that is alone, with the data that `folder` holds; it takes seconds until it
/// answers.
pub(crate) fn start(layout: &Layout, ports: &PortPlan, folder: &Path) -> Result<Leashed> {
    let member = Member::alone();
    configure(ports, folder, &member)?;
    start_again(layout, ports, folder, &member.name)
}

/// Writes the settings of a node.
pub(crate) fn configure(ports: &PortPlan, folder: &Path, member: &Member) -> Result<()> {
    let home = folder.join("home");
    fs::create_dir_all(&home).context("making the node's home")?;
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_management].\n")
        .context("writing enabled_plugins")?;
    fs::write(folder.join("rabbitmq.conf"), settings(ports, member))
        .context("writing rabbitmq.conf")?;
    if let Some(cookie) = &member.cookie {
        let file = home.join(".erlang.cookie");
        fs::write(&file, cookie)
            .and_then(|()| fs::set_permissions(&file, Permissions::from_mode(0o400)))
            .context("writing the cookie")?;
    }
    Ok(())
}

/// Starts a node that is configured, with the data that `folder` holds.
pub(crate) fn start_again(
    layout: &Layout,
    ports: &PortPlan,
    folder: &Path,
    name: &str,
) -> Result<Leashed> {
    // The namespace of processes dies with its first one, and so does the epmd of a node that is
    // alone, which goes into the background by itself.
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
        .args(environment(ports, name));
    Leashed::spawn(&mut command, &log(folder))
}

/// Starts the process by which the nodes of a cluster find each other: that of the first node
/// would die with it.
pub(crate) fn start_epmd(layout: &Layout, port: u16, log: &Path) -> Result<Leashed> {
    let mut command = isolated("chroot");
    command
        .arg(root(layout).folder.join("root"))
        .args(["/usr/bin/epmd", "-address", "127.0.0.1", "-port"])
        .arg(port.to_string());
    Leashed::spawn(&mut command, log)
}

pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("rabbitmq.log")
}

/// Debian's package carries a patch that permits what RabbitMQ 4.3 itself denies by default: queues
/// that are neither durable nor exclusive (`do-not-deprecate-transient_nonexcl_queues.patch`, since
/// 4.3.0-3). A program that works here must work with RabbitMQ's own image.
const AS_RABBITMQ_BUILDS_IT: &str = "deprecated_features.permit.transient_nonexcl_queues = false\n";

fn settings(ports: &PortPlan, member: &Member) -> String {
    let mut text = format!(
        "loopback_users.guest = true
management.tcp.ip = 127.0.0.1
management.tcp.port = {}
{AS_RABBITMQ_BUILDS_IT}",
        ports.management
    );
    if member.peers.len() > 1 {
        text += "cluster_formation.peer_discovery_backend = classic_config\n";
        for (index, peer) in member.peers.iter().enumerate() {
            let number = index + 1;
            text += &format!("cluster_formation.classic_config.nodes.{number} = {peer}\n");
        }
    }
    text
}

fn environment(ports: &PortPlan, name: &str) -> Vec<String> {
    vec![
        "HOME=/srv/home".into(),
        format!("RABBITMQ_NODENAME={name}"),
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
pub(crate) fn control(
    node: i32,
    ports: &PortPlan,
    name: &str,
    arguments: &[&str],
) -> Result<String> {
    let output = Command::new("nsenter")
        .arg(format!("--target={node}"))
        .args(["--mount", "--pid", "--root", "env", "--ignore-environment"])
        .args([
            "--chdir=/",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
        ])
        .args(environment(ports, name))
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

/// How many nodes of the cluster run, as a node of it sees it.
pub(crate) fn running_nodes(ports: &PortPlan) -> Result<usize> {
    let url = format!("http://127.0.0.1:{}/api/nodes", ports.management);
    let agent = http::agent(Duration::from_secs(5));
    let nodes = http::get_json(&agent, &url, Some(GUEST))?;
    let nodes = nodes
        .as_array()
        .context("the management API lists no nodes")?;
    Ok(nodes.iter().filter(|node| node["running"] == true).count())
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
