//! Kafka's own command-line tools, under the names they have in the `bin` folder of its download.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::download;
use crate::broker::{Broker, KAFKA_TOOLS_VERSION};
use crate::layout::Layout;
use crate::prepare::Prepared;
use crate::progress::progress;

const POM: &str = include_str!("../../recipes/kafka-tools.pom.xml");

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
    let recipe = format!("{POM}{commands}");
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
        COMMANDS
            .iter()
            .try_for_each(|(name, class)| write_command(&folder.join(name), &script(name, class)))
    })
}

fn write_command(file: &Path, script: &str) -> Result<()> {
    fs::write(file, script)
        .and_then(|()| fs::set_permissions(file, Permissions::from_mode(0o755)))
        .with_context(|| format!("writing {}", file.display()))
}

/// Quiet: Kafka's scripts configure their log likewise. The level costs speed in the load tools.
fn script(name: &str, class: &str) -> String {
    let quick = match name.contains("-perf-") {
        true => "",
        false => "-XX:TieredStopAtLevel=1 ",
    };
    format!(
        "#!/bin/sh\nexec java -Xmx512m -XX:+UseSerialGC {quick}\
         -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
         -cp \"${{0%/*}}/../libs/*\" {class} \"$@\"\n"
    )
}
