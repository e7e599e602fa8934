//! Clusters of three nodes: in the library, where a node is killed, paused and started again, and on
//! the command line.

use std::process::Command;
use std::time::{Duration, Instant};

use procfs::process::Process;
use sandbox::{Broker, Cluster, machine::scaled};

#[test]
fn a_node_of_kafka_is_killed_paused_and_started_again() {
    let settings = [("broker.session.timeout.ms", "3000")];
    break_and_mend(Cluster::start(Broker::Kafka, 3, &settings).unwrap());
}

#[test]
fn a_node_of_rabbitmq_is_killed_paused_and_started_again() {
    let cluster = Cluster::start(Broker::RabbitMq, 3, &[]).unwrap();
    let nodes = cluster.rabbitmqctl(2, &["-q", "cluster_status"]).unwrap();
    for node in ["n1@localhost", "n2@localhost", "n3@localhost"] {
        assert!(nodes.contains(node), "{node} is not in\n{nodes}");
    }
    break_and_mend(cluster);
}

fn break_and_mend(mut cluster: Cluster) {
    let pid = cluster.pid(1).unwrap();
    cluster.kill(1).unwrap();
    assert!(Process::new(pid).is_err(), "process {pid} is still there");
    let error = cluster.pid(1).unwrap_err().to_string();
    assert_eq!(error, "node 1 does not run");
    assert!(cluster.kill(1).is_err() && cluster.pause(1).is_err());

    let other = cluster.pid(2).unwrap();
    let state = || Process::new(other).unwrap().stat().unwrap().state;
    cluster.pause(2).unwrap();
    await_that("node 2 is stopped", || state() == 'T');
    cluster.resume(2).unwrap();
    await_that("node 2 goes on", || state() != 'T');

    cluster.mend().unwrap();
    assert_ne!(cluster.pid(1).unwrap(), pid);
    assert_eq!(cluster.pid(2).unwrap(), other, "node 2 lived");
    assert!(cluster.restart(&[1]).is_err(), "it runs");
    let all: Vec<_> = (1..=3).map(|node| cluster.pid(node).unwrap()).collect();
    // A paused node is ended like any other.
    cluster.pause(3).unwrap();
    cluster.stop().unwrap();
    assert!(all.iter().all(|pid| Process::new(*pid).is_err()));
}

#[test]
fn what_cannot_be_a_cluster_is_told() {
    for (arguments, told) in [
        (
            ["up", "--nodes", "3", "localstack"],
            "error: localstack is one process that emulates AWS: it has no nodes to break. Several \
             nodes are for kafka and rabbitmq: name one\n",
        ),
        (
            ["up", "--nodes", "2", "kafka"],
            "error: 2 nodes: choose 1 or 3, the smallest cluster that outlives the loss of a node\n",
        ),
    ] {
        let mut sandbox = Command::new(env!("CARGO_BIN_EXE_sandbox"));
        let output = sandbox.args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&output.stderr), told);
    }
}

fn await_that(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + scaled(Duration::from_secs(10));
    while !holds() {
        assert!(Instant::now() < deadline, "not in 10 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
