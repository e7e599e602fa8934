//! What the binary does: brokers on their usual ports that outlive the command.

use anyhow::{Context, Result, ensure};

use crate::broker::Broker;
use crate::cluster::{NodeState, Nodes, require_clusters};
use crate::endpoints::{from_user, host_and_port, of_cluster, variables};
use crate::health::{check_users, check_usual};
use crate::launch::launch;
use crate::layout::Layout;
use crate::ports::{PortPlan, Ports};
use crate::prepare::{for_each, prepare};
use crate::process::{Leashed, Stamp, remove_folder};
use crate::progress::{note, progress};
use crate::state::{StartedBy, State, clean_up, reserved_ports};
use crate::{docker, kafka};

/// Makes brokers available and prints their endpoints on stdout: those that the environment names,
/// else containers where a Docker engine answers, else processes of the sandbox's own, prepared
/// and started side by side. More than one node means processes of the sandbox's own.
///
/// # Errors
///
/// A broker can't be started, or an endpoint of the environment does not answer; the message says
/// what was tried and what to do. What the call has started is ended then.
pub fn up(brokers: &[Broker], nodes: usize) -> Result<()> {
    if nodes != 1 {
        brokers
            .iter()
            .try_for_each(|broker| require_clusters(*broker, nodes))?;
    }
    let layout = Layout::find()?;
    let _lock = layout.lock("up", "is starting or stopping brokers")?;
    tell_clean_up(&layout)?;
    let mut state = State::read(&layout.usual_run());
    let mut to_start = Vec::new();
    for broker in brokers {
        if let Some(endpoint) = from_user(*broker) {
            ensure!(nodes == 1, "{}", endpoint_without_nodes(*broker));
            require_answer(*broker, &endpoint)?;
        } else if !still_runs(&layout, &mut state, *broker, nodes)? {
            to_start.push(*broker);
        }
    }
    if !to_start.is_empty() && nodes == 1 {
        start(&layout, &mut state, &to_start)?;
    } else if !to_start.is_empty() {
        start_clusters(&layout, &mut state, &to_start, nodes)?;
    }
    print_endpoints(&layout, brokers);
    Ok(())
}

fn endpoint_without_nodes(broker: Broker) -> String {
    let (name, _) = variables(broker, &PortPlan::USUAL).remove(0);
    format!("{name} is set, and `--nodes` is for brokers of this machine: unset it")
}

fn tell_clean_up(layout: &Layout) -> Result<()> {
    let _lock = layout.lock("ports", "chooses its ports")?;
    if clean_up(layout)? > 0 {
        note("cleaned up what a killed sandbox left");
    }
    Ok(())
}

fn require_answer(broker: Broker, endpoint: &str) -> Result<()> {
    let (name, _) = variables(broker, &PortPlan::USUAL).remove(0);
    check_users(broker, endpoint).map(drop).with_context(|| {
        format!("{name} is set, but {broker} does not answer there: correct it, or unset it to start one here")
    })
}

/// Whether a broker that an earlier `up` started still answers. What is left of one that does not
/// is ended; of a cluster, the nodes that have ended are started again.
fn still_runs(layout: &Layout, state: &mut State, broker: Broker, nodes: usize) -> Result<bool> {
    let Some(by) = state.by(broker).cloned() else {
        return Ok(false);
    };
    let count = by.ports().len();
    if let StartedBy::Cluster {
        nodes: stamps,
        epmd,
        ports,
    } = by
    {
        let cluster = Nodes { broker, ports };
        let run = layout.usual_run();
        let now = cluster.revive(layout, &run, &stamps)?;
        progress(broker, &format!("runs already, {count} nodes"));
        let ports = cluster.ports;
        state.record(
            broker,
            StartedBy::Cluster {
                nodes: now,
                epmd,
                ports,
            },
        );
        state.write(&run)?;
        return Ok(true);
    }
    let StartedBy::Process { stamp, .. } = by else {
        ensure!(
            nodes == 1,
            "{broker} runs in a container: end it first, `cargo run --bin sandbox -- down {broker}`"
        );
        return Ok(false);
    };
    if stamp.is_running() && check_usual(broker).is_ok() {
        ensure!(
            nodes == 1,
            "{broker} runs already with one node: end it first, `cargo run --bin sandbox -- down {broker}`"
        );
        progress(broker, "runs already");
        return Ok(true);
    }
    progress(
        broker,
        "was started and does not answer any more: starting it anew",
    );
    stamp.end()?;
    state.forget(broker);
    Ok(false)
}

/// Always processes of the sandbox's own, even where a Docker engine answers: they can be signalled.
fn start_clusters(
    layout: &Layout,
    state: &mut State,
    brokers: &[Broker],
    nodes: usize,
) -> Result<()> {
    prepare(layout, brokers)?;
    let run = layout.usual_run();
    let ports = PortPlan::choose_many(Ports::Usual, &reserved_ports(layout)?, nodes)?;
    for (broker, ports) in brokers
        .iter()
        .flat_map(|b| ports.iter().map(move |p| (*b, p)))
    {
        ports.require_free(broker)?;
    }
    let started = for_each(brokers, |broker| {
        progress(broker, &format!("starting {nodes} nodes"));
        let ports = ports.clone();
        let nodes = Nodes { broker, ports };
        Ok((broker, nodes.start(layout, &run, &[])?))
    })?;
    for (broker, cluster) in &started {
        let nodes = cluster.nodes.iter().map(Leashed::stamp);
        let by = StartedBy::Cluster {
            nodes: nodes.collect::<Result<_>>()?,
            epmd: cluster.epmd.as_ref().map(Leashed::stamp).transpose()?,
            ports: ports.clone(),
        };
        state.record(*broker, by);
    }
    state.write(&run)?;
    let clusters = started.into_iter().map(|(_, cluster)| cluster);
    let mut processes = clusters.flat_map(|cluster| cluster.nodes.into_iter().chain(cluster.epmd));
    processes.try_for_each(Leashed::release)
}

fn start(layout: &Layout, state: &mut State, brokers: &[Broker]) -> Result<()> {
    if docker::is_available(layout)? {
        docker::up(layout, brokers)?;
        for broker in brokers {
            state.record(*broker, StartedBy::Docker);
        }
        return state.write(&layout.usual_run());
    }
    for broker in brokers {
        PortPlan::USUAL.require_free(*broker)?;
    }
    prepare(layout, brokers)?;
    let run = layout.usual_run();
    let ports = PortPlan::choose(Ports::Usual, &reserved_ports(layout)?)?;
    let running = for_each(brokers, |broker| {
        progress(broker, "starting");
        launch(layout, broker, &ports, &run)
    })?;
    for started in &running {
        let stamp = started.process.stamp()?;
        state.record(started.broker, StartedBy::Process { stamp, ports });
    }
    // Written before they are let go: whatever outlives this process can be found again.
    state.write(&run)?;
    running
        .into_iter()
        .try_for_each(|started| started.process.release())
}

/// Comments and `export` lines: to read, to paste, or for `eval`.
fn print_endpoints(layout: &Layout, brokers: &[Broker]) {
    let state = State::read(&layout.usual_run());
    for broker in brokers {
        if let Some(endpoint) = from_user(*broker) {
            println!("# {broker}: yours, at {}", without_credentials(&endpoint));
            continue;
        }
        let by = match state.by(*broker) {
            Some(StartedBy::Docker) => "in a container",
            _ => "a process of this machine",
        };
        let ports = match state.by(*broker) {
            Some(by) if !by.ports().is_empty() => by.ports(),
            _ => vec![PortPlan::USUAL],
        };
        let by = match ports.len() {
            1 => by.to_owned(),
            many => format!("{many} processes of this machine"),
        };
        println!("# {}: {by}", broker.title());
        for (name, value) in of_cluster(*broker, &ports) {
            println!("export {name}={value}");
        }
        if *broker == Broker::Kafka && !matches!(state.by(*broker), Some(StartedBy::Docker)) {
            let tools = kafka::tools::folder(layout);
            println!("export PATH=\"{}:$PATH\"", tools.display());
        }
    }
}

fn without_credentials(endpoint: &str) -> String {
    host_and_port(endpoint, 0).map_or_else(
        || "an address that can't be read".into(),
        |(host, port)| {
            if port == 0 {
                host
            } else {
                format!("{host}:{port}")
            }
        },
    )
}

/// Prints what each broker says about itself, or why it can't be asked and what to do. Returns
/// whether all of them are up.
///
/// # Errors
///
/// The workspace's folders can't be found.
pub fn status(brokers: &[Broker]) -> Result<bool> {
    let layout = Layout::find()?;
    let state = State::read(&layout.usual_run());
    let mut all_up = true;
    for broker in brokers {
        all_up &= print_status(&layout, &state, *broker);
    }
    Ok(all_up)
}

fn print_status(layout: &Layout, state: &State, broker: Broker) -> bool {
    let user = from_user(broker);
    if let (None, Some(StartedBy::Cluster { nodes, ports, .. })) = (&user, state.by(broker)) {
        let ports = ports.clone();
        return print_nodes(layout, &Nodes { broker, ports }, nodes);
    }
    let answer = match &user {
        Some(endpoint) => check_users(broker, endpoint),
        None => check_usual(broker),
    };
    let address = match &user {
        Some(endpoint) => without_credentials(endpoint),
        None => format!("127.0.0.1:{}", PortPlan::USUAL.client_ports(broker)[0]),
    };
    match answer {
        Ok(lines) => {
            println!("{broker:<12}up    {address}");
            if broker == Broker::Kafka
                && user.is_none()
                && matches!(state.by(broker), Some(StartedBy::Process { .. }))
            {
                let log = kafka::log(&layout.usual_run().join(broker.name()));
                print_line(
                    "version",
                    &kafka::version(&log).unwrap_or_else(|_| "unknown".into()),
                );
            }
            lines
                .iter()
                .for_each(|(label, value)| print_line(label, value));
            true
        }
        Err(error) => {
            println!("{broker:<12}down  {address}");
            print_line("reason", &format!("{error:#}"));
            print_line("to do", &advice(broker, user.is_some()));
            false
        }
    }
}

/// One line for each node of a cluster: whether it answers, where, and which process it is.
fn print_nodes(layout: &Layout, cluster: &Nodes, stamps: &[Stamp]) -> bool {
    let broker = cluster.broker;
    let states: Vec<_> = stamps.iter().map(|stamp| cluster.state_of(stamp)).collect();
    let all_up = states
        .iter()
        .all(|state| matches!(state, NodeState::Runs(_)));
    let word = if all_up { "up" } else { "down" };
    println!("{broker:<12}{word:<6}{} nodes", states.len());
    for ((node, ports), state) in cluster.numbers().zip(&cluster.ports).zip(&states) {
        let address = format!("127.0.0.1:{}", ports.client_ports(broker)[0]);
        let state = match state {
            NodeState::Runs(pid) => format!("runs     pid {pid}"),
            NodeState::Paused(pid) => format!("paused   pid {pid}"),
            NodeState::Ended => "ended".into(),
        };
        print_line(&format!("node {node}"), &format!("{address}  {state}"));
    }
    if states.iter().any(|state| matches!(state, NodeState::Ended)) {
        let nodes = states.len();
        print_line(
            "to do",
            &format!("cargo run --bin sandbox -- up --nodes {nodes} {broker}"),
        );
    }
    print_line("logs", &cluster.logs(&layout.usual_run()));
    all_up
}

fn print_line(label: &str, value: &str) {
    println!("            {label:<12}{value}");
}

fn advice(broker: Broker, is_users: bool) -> String {
    let (name, _) = variables(broker, &PortPlan::USUAL).remove(0);
    if is_users {
        format!("correct {name}, or unset it to use the broker of this machine")
    } else {
        format!("cargo run --bin sandbox -- up {broker}")
    }
}

/// Ends what [`up`] has started, and what killed sandboxes left. Brokers that it has not started
/// are left alone; that one does not run is no error.
///
/// # Errors
///
/// A process that does not end, or a Docker engine that does not answer any more.
pub fn down(brokers: &[Broker]) -> Result<()> {
    let layout = Layout::find()?;
    let _lock = layout.lock("up", "is starting or stopping brokers")?;
    tell_clean_up(&layout)?;
    let run = layout.usual_run();
    let mut state = State::read(&run);
    let in_containers = stop_containers(&layout, &mut state, brokers)?;
    for broker in brokers {
        let stamps = state.by(*broker).map(StartedBy::stamps).unwrap_or_default();
        if !stamps.is_empty() {
            let was_running = stamps.iter().any(|stamp| stamp.is_running());
            stamps
                .iter()
                .try_for_each(|stamp| stamp.end())
                .with_context(|| format!("stopping {}", broker.title()))?;
            progress(
                *broker,
                if was_running {
                    "stopped"
                } else {
                    "had ended already"
                },
            );
        } else if !in_containers.contains(broker) {
            progress(*broker, "not started by `up`, nothing to stop");
        }
        remove_folder(&run.join(broker.name()))?;
        state.forget(*broker);
    }
    state.write(&run)
}

/// Removes the containers that `up` started for these brokers, and returns whose they were.
fn stop_containers(layout: &Layout, state: &mut State, brokers: &[Broker]) -> Result<Vec<Broker>> {
    let in_docker = |broker: &Broker| matches!(state.by(*broker), Some(StartedBy::Docker));
    let all: Vec<_> = Broker::ALL.into_iter().filter(in_docker).collect();
    let named: Vec<_> = all
        .iter()
        .filter(|broker| brokers.contains(broker))
        .copied()
        .collect();
    if !named.is_empty() {
        docker::down(layout, &named, named == all)?;
    }
    for broker in &named {
        progress(*broker, "container removed, its volume stays");
        state.forget(*broker);
    }
    Ok(named)
}

/// The brokers that names on the command line mean; none means all.
///
/// # Errors
///
/// A name that is no broker's.
pub fn brokers(names: &[String]) -> Result<Vec<Broker>> {
    if names.is_empty() {
        return Ok(Broker::ALL.into());
    }
    let named = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<Vec<Broker>>>()?;
    Ok(Broker::ALL
        .into_iter()
        .filter(|broker| named.contains(broker))
        .collect())
}
