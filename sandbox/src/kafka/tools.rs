//! Kafka's own command-line tools, under the names they have in the `bin` folder of its download.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::download;
use crate::broker::{Broker, KAFKA_TOOLS_VERSION};
use crate::layout::Layout;
use crate::prepare::Prepared;
use crate::prerequisites::java;
use crate::process::{Leashed, isolated};
use crate::progress::progress;
use crate::ready::await_ready;

const POM: &str = include_str!("../../recipes/kafka-tools.pom.xml");
/// Runs many calls of the tools in one virtual machine.
const SERVER: &str = include_str!("../../recipes/Tools.java");
/// What a command does instead of starting a virtual machine where one runs for all of them.
const CALL: &str = include_str!("../../recipes/kafka-tools-call.sh");

const SERVER_FILE: &str = "Tools.java";
const CALL_FILE: &str = "kafka-tools-call";

const PORT: &str = "KAFKA_TOOLS_PORT";
const SECRET: &str = "KAFKA_TOOLS_SECRET";

/// A command and its class.
const COMMANDS: [(&str, &str); 12] = [
    ("kafka-configs.sh", "kafka.admin.ConfigCommand"),
    (
        "kafka-console-consumer.sh",
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
    ),
    (
        "kafka-console-producer.sh",
        "org.apache.kafka.tools.ConsoleProducer",
    ),
    (
        "kafka-console-share-consumer.sh",
        "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
    ),
    (
        "kafka-consumer-groups.sh",
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    ),
    (
        "kafka-consumer-perf-test.sh",
        "org.apache.kafka.tools.ConsumerPerformance",
    ),
    (
        "kafka-delete-records.sh",
        "org.apache.kafka.tools.DeleteRecordsCommand",
    ),
    (
        "kafka-get-offsets.sh",
        "org.apache.kafka.tools.GetOffsetShell",
    ),
    (
        "kafka-metadata-quorum.sh",
        "org.apache.kafka.tools.MetadataQuorumCommand",
    ),
    (
        "kafka-producer-perf-test.sh",
        "org.apache.kafka.tools.ProducerPerformance",
    ),
    (
        "kafka-share-groups.sh",
        "org.apache.kafka.tools.consumer.group.ShareGroupCommand",
    ),
    ("kafka-topics.sh", "org.apache.kafka.tools.TopicCommand"),
];

fn libraries(layout: &Layout) -> Prepared {
    let commands = COMMANDS.map(|(name, class)| script(name, class)).concat();
    let recipe = format!("{POM}{SERVER}{CALL}{commands}");
    Prepared::new(
        layout,
        &format!("kafka-tools-{KAFKA_TOOLS_VERSION}"),
        recipe,
    )
}

/// The folder with the commands, once they are prepared.
pub(crate) fn folder(layout: &Layout) -> PathBuf {
    libraries(layout).folder.join("bin")
}

pub(crate) fn is_prepared(layout: &Layout) -> bool {
    libraries(layout).is_complete()
}

pub(crate) fn prepare(layout: &Layout) -> Result<()> {
    libraries(layout).make(|draft| {
        progress(
            Broker::Kafka,
            &format!("getting its command-line tools {KAFKA_TOOLS_VERSION} from Maven Central"),
        );
        download(draft, POM)?;
        let folder = draft.join("bin");
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        fs::write(draft.join(SERVER_FILE), SERVER).context("writing the tools' server")?;
        write_command(&folder.join(CALL_FILE), CALL)?;
        COMMANDS
            .iter()
            .try_for_each(|(name, class)| write_command(&folder.join(name), &script(name, class)))
    })
}

/// Starts a virtual machine that runs the tools for every command whose environment has the variables
/// that are returned. `folder` gets its log.
pub(crate) fn serve(
    layout: &Layout,
    folder: &Path,
) -> Result<(Leashed, Vec<(&'static str, String)>)> {
    let tools = libraries(layout).folder;
    let secret = format!("{:032x}", u128::from_ne_bytes(crate::random::bytes()?));
    let mut command = isolated(java().context("no Java on the path")?);
    command
        .env(SECRET, &secret)
        .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
        .arg("-cp")
        .arg(tools.join("libs/*"))
        .arg(tools.join(SERVER_FILE));
    let log = folder.join("kafka-tools.log");
    let mut server = Leashed::spawn(&mut command, &log)?;
    let port = await_ready(&mut server, "The machine of Kafka's tools", || {
        let text = fs::read_to_string(&log)?;
        let port = text.lines().find_map(|line| line.strip_prefix("port "));
        Ok(port.context("it has told no port")?.to_owned())
    })?;
    Ok((server, vec![(PORT, port), (SECRET, secret)]))
}

fn write_command(file: &Path, script: &str) -> Result<()> {
    fs::write(file, script)
        .and_then(|()| fs::set_permissions(file, Permissions::from_mode(0o755)))
        .with_context(|| format!("writing {}", file.display()))
}

/// Quiet: Kafka's scripts configure their log likewise. The level costs speed in the load tools, which
/// have a virtual machine of their own always.
fn script(name: &str, class: &str) -> String {
    let (call, quick) = match name.contains("-perf-") {
        true => (String::new(), ""),
        false => (
            format!("[ -z \"${PORT}\" ] || exec bash \"${{0%/*}}/{CALL_FILE}\" {class} \"$@\"\n"),
            "-XX:TieredStopAtLevel=1 ",
        ),
    };
    format!(
        "#!/bin/sh\n{call}exec java -Xmx512m -XX:+UseSerialGC {quick}\
         -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
         -cp \"${{0%/*}}/../libs/*\" {class} \"$@\"\n"
    )
}
