//! Several nodes of one broker, each of which can be killed, paused and started again.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::broker::Broker;
use crate::endpoints;
use crate::layout::Layout;
use crate::machine::scaled;
use crate::ports::{PortPlan, Ports};
use crate::prepare::prepare;
use crate::private::claim_many;
use crate::process::{Leashed, Stamp, family, is_named, is_stopped, remove_folder};
use crate::progress::progress;
use crate::ready::await_ready;
use crate::state::{StartedBy, State};
use crate::{kafka, rabbitmq};

/// Much longer than it takes on a usual machine that is busy until all nodes have found each other.
const LIMIT: Duration = Duration::from_secs(120);

/// Three nodes of Kafka or RabbitMQ, or a single one, that belong to this process: they and their
/// data end with this value, and with the process even when that is killed.
///
/// Nodes are counted from 1. What is done to a node is done to its process: killed, it loses what
/// it had not handed to the system; the page cache survives.
///
/// ```no_run
/// use sandbox::{Broker, Cluster};
///
/// let mut cluster = Cluster::start(Broker::Kafka, 3, &[("broker.session.timeout.ms", "3000")])?;
/// println!("{:?}", cluster.environment());
/// cluster.kill(1)?;
/// cluster.restart(&[1])?;
/// # anyhow::Ok(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    layout: Layout,
    run: PathBuf,
    nodes: Nodes,
    /// Those that run.
    running: Vec<Option<Leashed>>,
    epmd: Option<Leashed>,
    version: String,
}

impl Cluster {
    /// Starts a number of nodes, with settings of Kafka's besides those of the sandbox, and returns
    /// when all have found each other.
    ///
    /// # Errors
    ///
    /// As for [`Sandbox::start`](crate::Sandbox::start); or the broker has no clusters, or a number
    /// of nodes other than 1 and 3, or settings for a broker that takes none here.
    pub fn start(broker: Broker, nodes: usize, settings: &[(&str, &str)]) -> Result<Self> {
        require_clusters(broker, nodes)?;
        ensure!(
            broker == Broker::Kafka || settings.is_empty(),
            "only Kafka takes settings here"
        );
        let layout = Layout::find()?;
        prepare(&layout, &[broker])?;
        let (run, ports) = claim_many(&layout, &[broker], Ports::Free, nodes)?;
        let nodes = Nodes { broker, ports };
        let settings = settings.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let started = nodes.start(&layout, &run, &settings.collect::<Vec<_>>())?;
        let cluster = Self {
            layout,
            run,
            nodes,
            running: started.nodes.into_iter().map(Some).collect(),
            epmd: started.epmd,
            version: started.version,
        };
        cluster.write_state()?;
        Ok(cluster)
    }

    /// The name and version of the broker as it told them itself, such as `RabbitMQ 4.3.6`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How many nodes there are, dead ones included.
    pub fn nodes(&self) -> usize {
        self.running.len()
    }

    /// The environment variables that lead clients to the cluster: all nodes of Kafka, the first
    /// node of RabbitMQ.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        endpoints::of_cluster(self.nodes.broker, &self.nodes.ports)
    }

    /// The address of a node for clients: `127.0.0.1:9092`, or an AMQP URL.
    ///
    /// # Errors
    ///
    /// There is no such node.
    pub fn endpoint(&self, node: usize) -> Result<String> {
        let (_, endpoint) =
            endpoints::variables(self.nodes.broker, self.nodes.ports(node)?).remove(0);
        Ok(endpoint)
    }

    /// The address of RabbitMQ's management API on a node, with its credentials.
    ///
    /// # Errors
    ///
    /// There is no such node, or the broker is another.
    pub fn management(&self, node: usize) -> Result<String> {
        ensure!(
            self.nodes.broker == Broker::RabbitMq,
            "only RabbitMQ has one"
        );
        let (_, url) = endpoints::variables(self.nodes.broker, self.nodes.ports(node)?).remove(1);
        Ok(url)
    }

    /// The process of a node that signals go to.
    ///
    /// # Errors
    ///
    /// There is no such node, or it does not run.
    pub fn pid(&self, node: usize) -> Result<i32> {
        let running = self
            .running
            .get(node.wrapping_sub(1))
            .and_then(Option::as_ref);
        let running = running.with_context(|| format!("node {node} does not run"))?;
        self.nodes.pid(running.pid())
    }

    /// Kills a node, paused or not. Returns when it is gone.
    ///
    /// # Errors
    ///
    /// There is no such node, or it does not run.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        let running = self.running.get_mut(node.wrapping_sub(1));
        let running = running.and_then(Option::take);
        running
            .with_context(|| format!("node {node} does not run"))?
            .kill()
    }

    /// Stops a node's process where it is: it holds its connections and answers nothing.
    ///
    /// # Errors
    ///
    /// There is no such node, or it does not run.
    pub fn pause(&self, node: usize) -> Result<()> {
        self.signal(node, Signal::STOP)
    }

    /// Lets a paused node go on.
    ///
    /// # Errors
    ///
    /// There is no such node, or it does not run.
    pub fn resume(&self, node: usize) -> Result<()> {
        self.signal(node, Signal::CONT)
    }

    fn signal(&self, node: usize, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.pid(node)?).context("no process has the number 0")?;
        kill_process(pid, signal).with_context(|| format!("signalling node {node}"))
    }

    /// Starts killed nodes again, side by side, with their data and ports. Returns when each of
    /// them answers.
    ///
    /// # Errors
    ///
    /// A node runs, or it does not start.
    pub fn restart(&mut self, nodes: &[usize]) -> Result<()> {
        for node in nodes {
            self.nodes.ports(*node)?;
            ensure!(self.running[node - 1].is_none(), "node {node} runs");
            let process = self.nodes.launch(&self.layout, &self.run, *node)?;
            self.running[node - 1] = Some(process);
        }
        self.write_state()?;
        for node in nodes {
            if let Some(process) = &mut self.running[node - 1] {
                self.nodes.await_node(&self.run, *node, process)?;
            }
        }
        Ok(())
    }

    /// Makes the cluster whole: lets paused nodes go on, starts dead ones, and returns when every
    /// node sees every other.
    ///
    /// # Errors
    ///
    /// A node does not start, or does not find the others.
    pub fn mend(&mut self) -> Result<()> {
        let dead = |node: &usize| self.running[node - 1].is_none();
        let dead: Vec<_> = self.nodes.numbers().filter(dead).collect();
        let alive = self.nodes.numbers().filter(|node| !dead.contains(node));
        alive.into_iter().try_for_each(|node| self.resume(node))?;
        self.restart(&dead)?;
        self.nodes.await_all()
    }

    /// Runs `rabbitmqctl` for a node and returns what it prints.
    ///
    /// # Errors
    ///
    /// The node is no running node of RabbitMQ, or the command fails; the message is its own.
    pub fn rabbitmqctl(&self, node: usize, arguments: &[&str]) -> Result<String> {
        ensure!(
            self.nodes.broker == Broker::RabbitMq,
            "only RabbitMQ has it"
        );
        let name = rabbitmq::node_name(node);
        rabbitmq::control(self.pid(node)?, self.nodes.ports(node)?, &name, arguments)
    }

    /// The file with what a node prints.
    pub fn log(&self, node: usize) -> PathBuf {
        self.nodes.log(&self.run, node)
    }

    /// Ends the nodes, as dropping the cluster does, and tells of failures.
    ///
    /// # Errors
    ///
    /// A process that does not end, or data that can't be removed.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn write_state(&self) -> Result<()> {
        let running = self.running.iter().flatten();
        let by = StartedBy::Cluster {
            nodes: running.map(Leashed::stamp).collect::<Result<_>>()?,
            epmd: self.epmd.as_ref().map(Leashed::stamp).transpose()?,
            ports: self.nodes.ports.clone(),
        };
        let mut state = State::read(&self.run);
        state.record(self.nodes.broker, by);
        state.write(&self.run)
    }

    fn end(&mut self) -> Result<()> {
        let nodes = self.running.iter_mut().filter_map(Option::take);
        for mut process in nodes.chain(self.epmd.take()) {
            process.kill().context("stopping the cluster")?;
        }
        remove_folder(&self.run)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("the cluster did not stop cleanly: {error:#}");
        }
    }
}

/// An error that says why a broker can't have so many nodes.
pub(crate) fn require_clusters(broker: Broker, nodes: usize) -> Result<()> {
    ensure!(
        broker != Broker::LocalStack,
        "localstack is one process that emulates AWS: it has no nodes to break. \
         Several nodes are for kafka and rabbitmq: name one"
    );
    ensure!(
        nodes == 1 || nodes == 3,
        "{nodes} nodes: choose 1 or 3, the smallest cluster that outlives the loss of a node"
    );
    Ok(())
}

/// Which nodes there are; enough to start any of them again.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    pub broker: Broker,
    /// Those of each node, the first one first.
    pub ports: Vec<PortPlan>,
}

/// How a node is, as its process tells.
pub(crate) enum NodeState {
    /// With the process that signals go to.
    Runs(i32),
    Paused(i32),
    Ended,
}

/// A cluster that has just started.
pub(crate) struct Started {
    pub nodes: Vec<Leashed>,
    pub epmd: Option<Leashed>,
    pub version: String,
}

impl Nodes {
    /// Starts all nodes with fresh data in subfolders of `run`, and returns when all have found
    /// each other.
    pub fn start(
        &self,
        layout: &Layout,
        run: &Path,
        settings: &[(String, String)],
    ) -> Result<Started> {
        let start = Instant::now();
        self.make_data(layout, run, settings)?;
        let epmd = match self.broker {
            Broker::RabbitMq => Some(rabbitmq::start_epmd(
                layout,
                self.ports(1)?.epmd,
                &run.join("epmd.log"),
            )?),
            _ => None,
        };
        let mut nodes = Vec::new();
        for node in self.numbers() {
            nodes.push(self.launch(layout, run, node)?);
        }
        let mut version = String::new();
        for (node, process) in self.numbers().zip(&mut nodes) {
            version = self.await_node(run, node, process)?;
        }
        self.await_all()?;
        let seconds = start.elapsed().as_secs_f64();
        let count = match self.ports.len() {
            1 => "1 node answers".to_owned(),
            many => format!("{many} nodes have found each other"),
        };
        progress(self.broker, &format!("{count} after {seconds:.1} s"));
        Ok(Started {
            nodes,
            epmd,
            version,
        })
    }

    fn make_data(&self, layout: &Layout, run: &Path, settings: &[(String, String)]) -> Result<()> {
        for node in self.numbers() {
            let folder = self.folder(run, node);
            remove_folder(&folder)?;
            fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        }
        match self.broker {
            Broker::Kafka => {
                let members = kafka::Member::of_cluster(&self.ports, settings)?;
                side_by_side(&members, |member| {
                    let folder = self.folder(run, member.id);
                    kafka::format_storage(layout, self.ports(member.id)?, &folder, member)
                })
            }
            Broker::RabbitMq => {
                let members = rabbitmq::Member::of_cluster(self.ports.len())?;
                let numbered = self.numbers().zip(&members);
                numbered.into_iter().try_for_each(|(node, member)| {
                    rabbitmq::configure(self.ports(node)?, &self.folder(run, node), member)
                })
            }
            Broker::LocalStack => require_clusters(self.broker, self.ports.len()),
        }
    }

    /// Starts a node with the data that it has.
    pub fn launch(&self, layout: &Layout, run: &Path, node: usize) -> Result<Leashed> {
        let folder = self.folder(run, node);
        match self.broker {
            Broker::Kafka => kafka::start_again(layout, &folder),
            Broker::RabbitMq => {
                let name = rabbitmq::node_name(node);
                rabbitmq::start_again(layout, self.ports(node)?, &folder, &name)
            }
            Broker::LocalStack => bail!("LocalStack has no nodes"),
        }
    }

    /// Waits until a node answers, and returns the broker's name and version.
    pub fn await_node(&self, run: &Path, node: usize, process: &mut Leashed) -> Result<String> {
        let ports = self.ports(node)?;
        let title = self.broker.title();
        let version = await_ready(process, &format!("{title}'s node {node}"), || {
            match self.broker {
                Broker::RabbitMq => rabbitmq::probe(ports).map(|node| node.version),
                _ => {
                    kafka::probe(ports.kafka)?;
                    kafka::version(&self.log(run, node))
                }
            }
        })?;
        Ok(format!("{title} {version}"))
    }

    /// Waits until every node sees every other.
    pub fn await_all(&self) -> Result<()> {
        let started = Instant::now();
        for node in self.numbers() {
            while self.seen_by(node).unwrap_or(0) < self.ports.len() {
                // The machine's speed is measured only when it matters.
                let waited = started.elapsed();
                ensure!(
                    waited < LIMIT || waited < scaled(LIMIT),
                    "node {node} of {} does not see all others after {} s",
                    self.broker.title(),
                    waited.as_secs()
                );
                thread::sleep(Duration::from_millis(50));
            }
        }
        Ok(())
    }

    /// How many nodes a node sees, itself included.
    fn seen_by(&self, node: usize) -> Result<usize> {
        let ports = self.ports(node)?;
        match self.broker {
            Broker::RabbitMq => rabbitmq::running_nodes(ports),
            _ => kafka::probe(ports.kafka).map(|cluster| cluster.nodes.len()),
        }
    }

    /// The process of a node that signals go to, from the one that was started for it.
    pub fn pid(&self, started: i32) -> Result<i32> {
        if self.broker != Broker::RabbitMq {
            return Ok(started);
        }
        let mut members = family(started).into_iter();
        members
            .find(|pid| is_named(*pid, "beam.smp"))
            .context("the node's Erlang machine does not run")
    }

    pub fn state_of(&self, started: &Stamp) -> NodeState {
        match self.pid(started.pid) {
            Ok(pid) if started.is_running() && is_stopped(pid) => NodeState::Paused(pid),
            Ok(pid) if started.is_running() => NodeState::Runs(pid),
            _ => NodeState::Ended,
        }
    }

    /// From 1.
    pub fn numbers(&self) -> std::ops::RangeInclusive<usize> {
        1..=self.ports.len()
    }

    pub fn ports(&self, node: usize) -> Result<&PortPlan> {
        let ports = self.ports.get(node.wrapping_sub(1));
        ports.with_context(|| format!("there is no node {node}"))
    }

    fn folder(&self, run: &Path, node: usize) -> PathBuf {
        run.join(self.broker.name()).join(node.to_string())
    }

    pub fn log(&self, run: &Path, node: usize) -> PathBuf {
        let folder = self.folder(run, node);
        match self.broker {
            Broker::RabbitMq => rabbitmq::log(&folder),
            _ => kafka::log(&folder),
        }
    }

    /// Where the nodes' logs are, in one line: `kafka/{1,2,3}/kafka.log`.
    pub fn logs(&self, run: &Path) -> String {
        let numbers: Vec<_> = self.numbers().map(|node| node.to_string()).collect();
        let first = self.log(run, 1).display().to_string();
        first.replace("/1/", &format!("/{{{}}}/", numbers.join(",")))
    }

    /// Starts anew, with their data, the nodes whose process has ended, and returns what runs now.
    pub fn revive(&self, layout: &Layout, run: &Path, stamps: &[Stamp]) -> Result<Vec<Stamp>> {
        let mut revived = Vec::new();
        for (node, stamp) in self.numbers().zip(stamps) {
            if !stamp.is_running() {
                progress(
                    self.broker,
                    &format!("node {node} has ended: starting it again"),
                );
                revived.push((node, self.launch(layout, run, node)?));
            }
        }
        let mut now = stamps.to_vec();
        for (node, process) in &mut revived {
            self.await_node(run, *node, process)?;
            now[*node - 1] = process.stamp()?;
        }
        for (_, process) in revived {
            process.release()?;
        }
        Ok(now)
    }
}

/// Does something for each item at once.
fn side_by_side<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let threads: Vec<_> = items
            .iter()
            .map(|item| scope.spawn(|| work(item)))
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}
