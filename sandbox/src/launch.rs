//! Starting a prepared broker and waiting until it answers.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::broker::Broker;
use crate::layout::Layout;
use crate::ports::PortPlan;
use crate::process::{Leashed, remove_folder};
use crate::progress::progress;
use crate::ready::await_ready;
use crate::{kafka, localstack, rabbitmq};

/// A broker that answers its protocol.
#[derive(Debug)]
pub(crate) struct Running {
    pub broker: Broker,
    pub process: Leashed,
    /// Its name and version, as it told them.
    pub version: String,
}

/// Starts a broker with fresh data in a subfolder of `run` and returns when it answers.
pub(crate) fn launch(
    layout: &Layout,
    broker: Broker,
    ports: &PortPlan,
    run: &Path,
) -> Result<Running> {
    let start = Instant::now();
    let folder = run.join(broker.name());
    remove_folder(&folder)?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let process = match broker {
        Broker::Kafka => kafka::start(layout, ports, &folder)?,
        Broker::RabbitMq => rabbitmq::start(layout, ports, &folder)?,
        Broker::LocalStack => localstack::start(layout, ports, &folder)?,
    };
    answering(broker, process, ports, &folder, start)
}

/// Starts a broker that was killed, with the data it had, and returns when it answers.
pub(crate) fn relaunch(
    layout: &Layout,
    broker: Broker,
    ports: &PortPlan,
    run: &Path,
) -> Result<Running> {
    let start = Instant::now();
    let folder = run.join(broker.name());
    let process = match broker {
        Broker::Kafka => kafka::start_again(layout, &folder)?,
        Broker::RabbitMq => rabbitmq::start(layout, ports, &folder)?,
        Broker::LocalStack => bail!("LocalStack keeps no data over a restart"),
    };
    answering(broker, process, ports, &folder, start)
}

fn answering(
    broker: Broker,
    mut process: Leashed,
    ports: &PortPlan,
    folder: &Path,
    start: Instant,
) -> Result<Running> {
    let title = broker.title();
    let version = match broker {
        Broker::Kafka => await_ready(&mut process, title, || {
            kafka::probe(ports.kafka)?;
            kafka::version(&kafka::log(folder))
        })?,
        Broker::RabbitMq => await_ready(&mut process, title, || rabbitmq::probe(ports))?.version,
        Broker::LocalStack => {
            await_ready(&mut process, title, || localstack::probe(ports.localstack))?.version
        }
    };
    progress(
        broker,
        &format!("answers after {:.1} s", start.elapsed().as_secs_f64()),
    );
    Ok(Running {
        broker,
        process,
        version: format!("{title} {version}"),
    })
}
