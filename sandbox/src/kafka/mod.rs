//! Apache Kafka: one node that is broker and controller, from Maven Central.

pub(crate) mod tools;
pub(crate) mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::broker::{Broker, KAFKA_VERSION};
use crate::layout::Layout;
use crate::ports::{PortPlan, Ports};
use crate::prepare::Prepared;
use crate::prerequisites::{has_writable_home, java};
use crate::process::{Leashed, isolated, leashed, remove_folder, run};
use crate::progress::progress;
use crate::ready::await_ready;

const POM: &str = include_str!("../../recipes/kafka.pom.xml");

/// Kafka reads its classes from an archive of the virtual machine: a start takes a third.
const ARCHIVE: &str = "classes.jsa";

fn libraries(layout: &Layout) -> Prepared {
    Prepared::new(layout, &format!("kafka-{KAFKA_VERSION}"), POM)
}

pub(crate) fn is_prepared(layout: &Layout) -> bool {
    libraries(layout).is_complete() && has_archive(layout) && tools::is_prepared(layout)
}

pub(crate) fn prepare(layout: &Layout) -> Result<()> {
    libraries(layout).make(|draft| {
        progress(
            Broker::Kafka,
            &format!("getting Apache Kafka {KAFKA_VERSION} from Maven Central (43 MB)"),
        );
        download(draft, POM)
    })?;
    tools::prepare(layout)?;
    if has_archive(layout) {
        return Ok(());
    }
    progress(
        Broker::Kafka,
        "making the class archive, which makes it start faster",
    );
    make_archive(layout).context("making the class archive")
}

/// Gets what a pom.xml names into `libs`.
fn download(draft: &Path, pom: &str) -> Result<()> {
    fs::write(draft.join("pom.xml"), pom).context("writing pom.xml")?;
    let mut maven = leashed("mvn");
    maven
        // -C: a wrong checksum is an error. -ntp: no progress bars in the log.
        .args(["-C", "-B", "-q", "-ntp", "dependency:copy-dependencies"])
        .args(["-Dstyle.color=never", "-DoutputDirectory=libs"])
        .current_dir(draft);
    if !has_writable_home() {
        maven.arg("-Dmaven.repo.local=repository");
    }
    run(&mut maven, &draft.join("maven.log"))
}

/// The archive fits one virtual machine only.
fn archive_note(layout: &Layout) -> PathBuf {
    libraries(layout).folder.join("classes.java")
}

fn has_archive(layout: &Layout) -> bool {
    let note = fs::read_to_string(archive_note(layout)).ok();
    note.is_some() && note == java_identity().ok()
}

/// Names the Java that is installed now: another one has another path or another date.
fn java_identity() -> Result<String> {
    let java = java().context("no Java on the path")?;
    let java = fs::canonicalize(&java).with_context(|| format!("finding {}", java.display()))?;
    let date = fs::metadata(&java)?
        .modified()?
        .duration_since(UNIX_EPOCH)?
        .as_secs();
    Ok(format!("{} {date}", java.display()))
}

/// Runs a broker once; the virtual machine writes the archive when it is told to end.
fn make_archive(layout: &Layout) -> Result<()> {
    let folder = layout.home.join("kafka-archive.draft");
    remove_folder(&folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let ports = PortPlan::choose(Ports::Free, &crate::state::reserved_ports(layout)?)?;
    format_storage(layout, &ports, &folder, &Member::alone(&ports)?)?;
    let written = folder.join(ARCHIVE);
    let mut command = virtual_machine(layout)?;
    command
        .arg(format!("-XX:ArchiveClassesAtExit={}", written.display()))
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"));
    let mut broker = Leashed::spawn(&mut command, &folder.join("kafka.log"))?;
    await_ready(&mut broker, "Kafka", || probe(ports.kafka).map(drop))?;
    broker.end_by_itself()?;
    ensure!(written.exists(), "the virtual machine wrote none");
    fs::rename(&written, libraries(layout).folder.join(ARCHIVE)).context("moving it into place")?;
    fs::write(archive_note(layout), java_identity()?).context("noting its virtual machine")?;
    remove_folder(&folder)
}

/// Starts a broker with fresh data in `folder`; it takes seconds until it answers.
pub(crate) fn start(layout: &Layout, ports: &PortPlan, folder: &Path) -> Result<Leashed> {
    format_storage(layout, ports, folder, &Member::alone(ports)?)?;
    start_again(layout, folder)
}

/// Starts a broker with the data and the ports that it had in `folder`.
pub(crate) fn start_again(layout: &Layout, folder: &Path) -> Result<Leashed> {
    let mut command = archived_machine(layout)?;
    command
        .arg("kafka.Kafka")
        .arg(folder.join("server.properties"));
    Leashed::spawn(&mut command, &log(folder))
}

pub(crate) fn log(folder: &Path) -> PathBuf {
    folder.join("kafka.log")
}

/// Asks a broker of this machine for its cluster.
pub(crate) fn probe(port: u16) -> Result<wire::Cluster> {
    let cluster = wire::describe("127.0.0.1", port, Duration::from_secs(5))?;
    ensure!(!cluster.nodes.is_empty(), "the cluster has no broker yet");
    Ok(cluster)
}

/// The version that a broker has written into its log: the protocol does not tell it.
pub(crate) fn version(log: &Path) -> Result<String> {
    let text = fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    text.lines()
        .find_map(|line| {
            line.split_once("Kafka version: ")
                .map(|(_, version)| version.trim().to_owned())
        })
        .with_context(|| format!("no version in {}", log.display()))
}

/// What a node must know of its cluster.
pub(crate) struct Member {
    /// From 1.
    pub id: usize,
    cluster: String,
    /// The controller of each node: its port, and the id of its data folder.
    controllers: Vec<(u16, String)>,
    /// Settings of the broker, which come last and so count.
    settings: Vec<(String, String)>,
}

impl Member {
    fn alone(ports: &PortPlan) -> Result<Self> {
        let mut members = Self::of_cluster(&[*ports], &[])?;
        Ok(members.remove(0))
    }

    /// The members of a new cluster, one for each plan.
    pub fn of_cluster(ports: &[PortPlan], settings: &[(String, String)]) -> Result<Vec<Self>> {
        let cluster = random_id()?;
        let mut controllers = Vec::new();
        for plan in ports {
            controllers.push((plan.kafka_controller, random_id()?));
        }
        let member = |id| Self {
            id,
            cluster: cluster.clone(),
            controllers: controllers.clone(),
            settings: settings.to_vec(),
        };
        Ok((1..=ports.len()).map(member).collect())
    }

    /// As `StorageTool` takes them.
    fn voters(&self) -> String {
        let numbered = self.controllers.iter().enumerate();
        let voters = numbered
            .map(|(index, (port, folder))| format!("{}@127.0.0.1:{port}:{folder}", index + 1));
        voters.collect::<Vec<_>>().join(",")
    }
}

/// Makes the data folder of a node and writes its settings.
pub(crate) fn format_storage(
    layout: &Layout,
    ports: &PortPlan,
    folder: &Path,
    member: &Member,
) -> Result<()> {
    let properties = folder.join("server.properties");
    fs::write(&properties, settings(ports, &folder.join("data"), member))
        .context("writing server.properties")?;
    let mut format = archived_machine(layout)?;
    format
        .args(["kafka.tools.StorageTool", "format", "-t", &member.cluster])
        .args(["--initial-controllers", &member.voters(), "-c"])
        .arg(&properties);
    run(&mut format, &folder.join("format.log")).context("formatting Kafka's storage")
}

/// 16 random bytes. One that begins with a dash would be taken for an option.
fn random_id() -> Result<String> {
    loop {
        let bytes: [u8; 16] = crate::random::bytes()?;
        let id = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        if !id.starts_with('-') {
            return Ok(id);
        }
    }
}

fn archived_machine(layout: &Layout) -> Result<Command> {
    let mut command = virtual_machine(layout)?;
    let archive = libraries(layout).folder.join(ARCHIVE);
    if archive.exists() {
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    Ok(command)
}

fn virtual_machine(layout: &Layout) -> Result<Command> {
    let java = java().context("no Java on the path")?;
    let mut command = isolated(java);
    command
        .args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC"])
        .args(["-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true"])
        .args([
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            // Tells the version.
            "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.utils.internals.AppInfoParser=info",
        ])
        .arg("-cp")
        .arg(libraries(layout).folder.join("libs/*"));
    Ok(command)
}

/// A node with transactions and share groups; clean-up that is quick enough to watch.
fn settings(ports: &PortPlan, data: &Path, member: &Member) -> String {
    let PortPlan {
        kafka,
        kafka_controller,
        ..
    } = ports;
    let controllers = member.controllers.iter();
    let controllers: Vec<_> = controllers
        .map(|(port, _)| format!("127.0.0.1:{port}"))
        .collect();
    let replicas = controllers.len();
    let in_sync = replicas.min(2);
    let mut text = format!(
        "process.roles=broker,controller
node.id={id}
controller.quorum.bootstrap.servers={controllers}
listeners=PLAINTEXT://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{kafka_controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{kafka},CONTROLLER://127.0.0.1:{kafka_controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
log.cleaner.backoff.ms=1000
log.cleaner.dedupe.buffer.size=8388608
",
        id = member.id,
        controllers = controllers.join(","),
        data = data.display(),
    );
    for (name, value) in &member.settings {
        text += &format!("{name}={value}\n");
    }
    text
}
