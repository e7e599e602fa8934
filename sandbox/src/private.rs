//! Brokers of one process.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, ensure};

use crate::broker::Broker;
use crate::endpoints;
use crate::kafka::tools;
use crate::launch::{Running, launch, relaunch};
use crate::layout::Layout;
use crate::ports::{PortPlan, Ports};
use crate::prepare::{for_each, prepare};
use crate::process::{Leashed, Stamp, family, is_named, listening, remove_folder};
use crate::rabbitmq::{self, Member};
use crate::state::{StartedBy, State, clean_up, reserved_ports};

/// Running brokers that belong to this process: they and their data end with this value, and with
/// the process even when that is killed. Any number may run at once.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    ports: PortPlan,
    brokers: Vec<Running>,
}

impl Sandbox {
    /// Starts brokers side by side and returns when each answers its own protocol. The first call
    /// in a workspace downloads them, which takes minutes and says so on stderr.
    ///
    /// They are always processes of this sandbox's own, whatever endpoints the environment names
    /// and whether or not a Docker engine runs.
    ///
    /// # Errors
    ///
    /// A prerequisite is missing and can't be installed, a download fails, a port is taken, or a
    /// broker ends at its start; the message says what to do. No broker is left running then.
    pub fn start(brokers: &[Broker], ports: Ports) -> Result<Self> {
        let layout = Layout::find()?;
        let brokers: Vec<_> = Broker::ALL
            .into_iter()
            .filter(|broker| brokers.contains(broker))
            .collect();
        prepare(&layout, &brokers)?;
        let (folder, ports) = claim(&layout, &brokers, ports)?;
        // After a failure the folder stays for its logs: the next sandbox removes it.
        let running = for_each(&brokers, |broker| launch(&layout, broker, &ports, &folder))?;
        let sandbox = Self {
            folder,
            ports,
            brokers: running,
        };
        sandbox.write_state()?;
        Ok(sandbox)
    }

    /// Downloads what brokers are made of, unless that is done, and starts none of them. Returns the
    /// folder where it is.
    ///
    /// # Errors
    ///
    /// As for [`Sandbox::start`].
    pub fn prepare(brokers: &[Broker]) -> Result<PathBuf> {
        let layout = Layout::find()?;
        prepare(&layout, brokers)?;
        Ok(layout.home)
    }

    /// The environment variables that lead clients to these brokers: `KAFKA_BOOTSTRAP_SERVERS`;
    /// `AMQP_URL` and `RABBITMQ_MANAGEMENT_URL`; `AWS_ENDPOINT_URL`, `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        self.brokers
            .iter()
            .flat_map(|running| endpoints::variables(running.broker, &self.ports))
            .collect()
    }

    /// The name and version of a broker as it told them itself, such as `RabbitMQ 4.3.6`; `None`
    /// for one that this sandbox does not run.
    pub fn version(&self, broker: Broker) -> Option<&str> {
        self.running(broker).map(|running| running.version.as_str())
    }

    /// The processes of a broker that run now, its first one first; empty for a broker that this
    /// sandbox does not run. The node of RabbitMQ itself is the one named `beam.smp`.
    pub fn pids(&self, broker: Broker) -> Vec<i32> {
        self.running(broker)
            .map(|running| family(running.process.pid()))
            .unwrap_or_default()
    }

    /// Every address on which the brokers' processes listen for TCP connections.
    ///
    /// # Errors
    ///
    /// `/proc` can't be read.
    pub fn listening(&self) -> Result<Vec<SocketAddr>> {
        let pids: Vec<_> = self
            .brokers
            .iter()
            .flat_map(|running| family(running.process.pid()))
            .collect();
        listening(&pids)
    }

    /// Kills a broker, as a crash of its machine would but for the page cache, and starts it again
    /// with its data and ports. Returns when it answers.
    ///
    /// # Errors
    ///
    /// This sandbox does not run the broker, or it does not start; then it is gone.
    pub fn crash(&mut self, broker: Broker) -> Result<()> {
        let position = self
            .brokers
            .iter()
            .position(|running| running.broker == broker);
        let position = position.with_context(|| format!("{} does not run", broker.title()))?;
        ensure!(
            broker != Broker::LocalStack,
            "LocalStack keeps no data over a restart"
        );
        let layout = Layout::find()?;
        self.brokers.remove(position).process.kill()?;
        self.brokers
            .push(relaunch(&layout, broker, &self.ports, &self.folder)?);
        self.write_state()
    }

    /// The folder with a system's own command-line tools, under their usual names. Kafka has one.
    ///
    /// # Errors
    ///
    /// The workspace is not found.
    pub fn tools(broker: Broker) -> Result<Option<PathBuf>> {
        let layout = Layout::find()?;
        Ok((broker == Broker::Kafka).then(|| tools::folder(&layout)))
    }

    /// Starts one virtual machine for all calls of Kafka's command-line tools: a session of many calls
    /// starts it once. Returns the variables by which the commands find it. It ends with the value.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn serve_tools(&self) -> Result<(Leashed, Vec<(&'static str, String)>)> {
        tools::serve(&Layout::find()?, &self.folder)
    }

    /// Runs `rabbitmqctl` for the node of this sandbox and returns what it prints.
    ///
    /// # Errors
    ///
    /// This sandbox runs no RabbitMQ, or the command fails; the message is the command's own.
    pub fn rabbitmqctl(&self, arguments: &[&str]) -> Result<String> {
        let node = self
            .pids(Broker::RabbitMq)
            .into_iter()
            .find(|pid| is_named(*pid, "beam.smp"))
            .context("RabbitMQ does not run here")?;
        rabbitmq::control(node, &self.ports, &Member::alone().name, arguments)
    }

    /// The file with what a broker prints, which goes when the sandbox stops.
    pub fn log(&self, broker: Broker) -> Option<PathBuf> {
        self.running(broker)
            .map(|running| running.process.log().to_path_buf())
    }

    /// Ends the brokers, as dropping the sandbox does, and tells of failures.
    ///
    /// # Errors
    ///
    /// A process that does not end, or data that can't be removed.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn running(&self, broker: Broker) -> Option<&Running> {
        self.brokers.iter().find(|running| running.broker == broker)
    }

    fn write_state(&self) -> Result<()> {
        let mut state = State::read(&self.folder);
        for running in &self.brokers {
            let stamp = running.process.stamp()?;
            state.record(
                running.broker,
                StartedBy::Process {
                    stamp,
                    ports: self.ports,
                },
            );
        }
        state.write(&self.folder)
    }

    fn end(&mut self) -> Result<()> {
        for mut running in self.brokers.drain(..) {
            running
                .process
                .kill()
                .with_context(|| format!("stopping {}", running.broker.title()))?;
        }
        remove_folder(&self.folder)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the sandbox did not stop cleanly: {error:#}");
        }
    }
}

/// Makes the folder of a new private run and chooses its ports, and removes what killed ones left.
fn claim(layout: &Layout, brokers: &[Broker], ports: Ports) -> Result<(PathBuf, PortPlan)> {
    let (folder, plans) = claim_many(layout, brokers, ports, 1)?;
    let plan = plans.first().copied().context("no ports were chosen")?;
    Ok((folder, plan))
}

/// The same for a number of nodes; only one of them can have the usual ports.
pub(crate) fn claim_many(
    layout: &Layout,
    brokers: &[Broker],
    ports: Ports,
    nodes: usize,
) -> Result<(PathBuf, Vec<PortPlan>)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let _lock = layout.lock("ports", "chooses its ports")?;
    clean_up(layout)?;
    let plans = PortPlan::choose_many(ports, &reserved_ports(layout)?, nodes)?;
    for plan in &plans {
        for broker in brokers {
            plan.require_free(*broker)?;
        }
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = layout
        .runs()
        .join(format!("{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let owner = Some(Stamp::of_this_process()?);
    State {
        owner,
        plans: plans.clone(),
        brokers: Vec::new(),
    }
    .write(&folder)?;
    Ok((folder, plans))
}
