//! `up`, `status` and `down` as a user calls them, with every accident, on the usual ports of a
//! machine of their own: a network namespace, so that brokers which run meanwhile are not touched.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use procfs::net::TcpState;
use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use sandbox::{Broker, KAFKA_VERSION, Sandbox, machine::scaled};
use tempfile::TempDir;

#[test]
fn up_status_down() {
    let prepared = Sandbox::prepare(&Broker::ALL).unwrap();
    let machine = Machine::new();
    let home = Home::with_prepared(&prepared);

    a_killed_up_leaves_nothing(&machine, &home);
    two_ups_at_once_agree(&machine, &home);
    status_tells_what_runs(&machine, &home);
    nothing_listens_beyond_this_machine(&machine);
    a_taken_port_is_told(&machine, &prepared);
    the_users_endpoints_come_first(&machine, &home);
    a_dead_broker_is_seen_and_started_anew(&machine, &home);
    down_ends_everything_and_can_be_repeated(&machine, &home);
}

#[test]
fn three_nodes_are_broken_and_mended() {
    let prepared = Sandbox::prepare(&[Broker::Kafka]).unwrap();
    let machine = Machine::new();
    let home = Home::with_prepared(&prepared);
    let up = success(&machine.run(&home, &["up", "--nodes", "3", "kafka"]));
    let servers = "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094";
    assert!(up.contains(servers), "{up}");
    let is_local = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
    assert!(machine.listening().iter().all(is_local));

    let victim = pid_of_node(&success(&machine.run(&home, &["status", "kafka"])), 2);
    kill(victim);
    // A process closes its ports before it has ended.
    await_that("its end is told", || {
        let status = machine.run(&home, &["status", "kafka"]);
        text(&status.stdout).contains("node 2      127.0.0.1:9093  ended")
    });
    let status = machine.run(&home, &["status", "kafka"]);
    assert_eq!(status.status.code(), Some(1));
    let status = text(&status.stdout);
    for part in [
        "kafka       down  3 nodes",
        "node 2      127.0.0.1:9093  ended",
        "node 3      127.0.0.1:9094  runs     pid ",
        "cargo run --bin sandbox -- up --nodes 3 kafka",
    ] {
        assert!(status.contains(part), "'{part}' is not in\n{status}");
    }
    let survivor = pid_of_node(&status, 3);
    success(&machine.run(&home, &["up", "--nodes", "3", "kafka"]));
    let status = success(&machine.run(&home, &["status", "kafka"]));
    assert_ne!(pid_of_node(&status, 2), victim);
    assert_eq!(pid_of_node(&status, 3), survivor, "it was left alone");
    success(&machine.run(&home, &["down"]));
    assert_eq!(machine.processes(), []);
}

fn pid_of_node(status: &str, node: usize) -> i32 {
    let mut lines = status.lines();
    let line = lines.find(|line| line.trim().starts_with(&format!("node {node}")));
    let pid = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    pid.unwrap_or_else(|| panic!("no pid of node {node} in\n{status}"))
}

#[test]
fn accidents_without_a_broker() {
    let machine = Machine::new();
    an_unknown_name_is_told(&machine);
    a_missing_prerequisite_is_told(&machine);
    a_broker_that_dies_at_its_start_is_told(&machine);
}

fn a_killed_up_leaves_nothing(machine: &Machine, home: &Home) {
    let mut up = machine
        .sandbox(home, &["up"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    await_that("RabbitMQ's node runs", || {
        machine
            .processes()
            .iter()
            .any(|(_, name)| name == "beam.smp")
    });
    kill(i32::try_from(up.id()).unwrap());
    up.wait().unwrap();
    await_that("everything it started is gone", || {
        machine.processes().is_empty()
    });
}

fn two_ups_at_once_agree(machine: &Machine, home: &Home) {
    let start = || {
        let mut command = machine.sandbox(home, &["up"]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let [(first, first_errors), (second, second_errors)] = outputs
        .each_ref()
        .map(|output| (success(output), text(&output.stderr)));
    assert_eq!(first, second);
    for line in [
        "export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092",
        "export AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f",
        "export RABBITMQ_MANAGEMENT_URL=http://guest:guest@127.0.0.1:15672",
        "export AWS_ENDPOINT_URL=http://127.0.0.1:4566",
    ] {
        assert!(
            first.lines().any(|printed| printed == line),
            "{line} is not in\n{first}"
        );
    }
    let both = first_errors + &second_errors;
    assert!(
        both.contains("another sandbox is starting or stopping brokers: waiting for it"),
        "{both}"
    );
    assert!(both.contains("kafka: runs already"), "{both}");
}

fn status_tells_what_runs(machine: &Machine, home: &Home) {
    let status = success(&machine.run(home, &["status"]));
    for part in [
        "cluster id",
        "node 1 at 127.0.0.1:9092, controller",
        &format!("version     {KAFKA_VERSION}"),
        "rabbit@localhost",
        "amqp 127.0.0.1:5672",
        "sqs running, sns running",
    ] {
        assert!(status.contains(part), "'{part}' is not in\n{status}");
    }
}

fn nothing_listens_beyond_this_machine(machine: &Machine) {
    let listening = machine.listening();
    assert!(listening.len() >= 7, "a socket is missing in {listening:?}");
    let is_local = |address: &&SocketAddr| address.ip().to_canonical().is_loopback();
    assert!(
        listening.iter().all(|address| is_local(&address)),
        "{listening:?}"
    );
}

fn a_taken_port_is_told(machine: &Machine, prepared: &Path) {
    let other = Home::with_prepared(prepared);
    let error = failure(&machine.run(&other, &["up", "kafka"]));
    assert!(
        error.contains("port 9092") && error.contains("(java) has"),
        "{error}"
    );
}

fn the_users_endpoints_come_first(machine: &Machine, home: &Home) {
    let mut up = machine.sandbox(home, &["up", "kafka", "rabbitmq"]);
    up.env(
        "KAFKA_BOOTSTRAP_SERVERS",
        "localhost:1,[::ffff:127.0.0.1]:9092",
    );
    up.env("AMQP_URL", "amqp://user:secret@127.0.0.1:5672/other");
    let printed = success(&up.output().unwrap());
    assert!(
        printed.contains("# rabbitmq: yours, at 127.0.0.1:5672"),
        "{printed}"
    );
    assert!(
        !printed.contains("secret") && !printed.contains("export"),
        "{printed}"
    );

    let mut up = machine.sandbox(home, &["up", "rabbitmq"]);
    up.env("AMQP_URL", "amqp://user:secret@127.0.0.1:4566");
    let error = failure(&up.output().unwrap());
    assert!(
        error.starts_with("error: AMQP_URL is set, but rabbitmq does not answer there"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
}

fn a_dead_broker_is_seen_and_started_anew(machine: &Machine, home: &Home) {
    let java = |(pid, name): (i32, String)| (name == "java").then_some(pid);
    let broker = machine.processes().into_iter().find_map(java).unwrap();
    kill(broker);
    await_that("Kafka's port is closed", || {
        machine
            .listening()
            .iter()
            .all(|address| address.port() != 9092)
    });
    let status = machine.run(home, &["status"]);
    assert_eq!(status.status.code(), Some(1));
    let status = text(&status.stdout);
    assert!(
        status.contains("kafka       down  127.0.0.1:9092"),
        "{status}"
    );
    assert!(status.contains("Connection refused"), "{status}");
    assert!(
        status.contains("cargo run --bin sandbox -- up kafka"),
        "{status}"
    );

    success(&machine.run(home, &["up", "kafka"]));
    success(&machine.run(home, &["status", "kafka"]));
}

fn down_ends_everything_and_can_be_repeated(machine: &Machine, home: &Home) {
    success(&machine.run(home, &["down"]));
    assert_eq!(machine.processes(), []);
    assert_eq!(machine.listening(), []);
    success(&machine.run(home, &["down"]));
    assert_eq!(machine.run(home, &["status"]).status.code(), Some(1));
}

fn an_unknown_name_is_told(machine: &Machine) {
    let error = failure(&machine.run(&Home::empty(), &["up", "kafak"]));
    assert_eq!(
        error,
        "error: there is no broker 'kafak': choose from kafka, rabbitmq, localstack\n"
    );
}

fn a_missing_prerequisite_is_told(machine: &Machine) {
    let home = Home::empty();
    let mut up = machine.sandbox(&home, &["up", "kafka"]);
    let error = failure(
        &up.env_remove("JAVA_HOME")
            .env("PATH", home.path())
            .output()
            .unwrap(),
    );
    assert!(
        error.contains("Java 17 or newer, mvn missing: run `apt-get install"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1, "{error}");
}

fn a_broker_that_dies_at_its_start_is_told(machine: &Machine) {
    let prepared = Sandbox::prepare(&[Broker::RabbitMq]).unwrap();
    let home = Home::empty();
    // Complete by its mark, and without the root folder that the node runs in.
    let broken = home.path().join("sandbox/rabbitmq");
    fs::create_dir_all(&broken).unwrap();
    fs::copy(prepared.join("rabbitmq/complete"), broken.join("complete")).unwrap();
    let error = failure(&machine.run(&home, &["up", "rabbitmq"]));
    assert!(
        error.contains("RabbitMQ ended at its start (exit status: "),
        "{error}"
    );
    assert!(error.contains("rabbitmq.log:\n    mount: "), "{error}");
    await_that("everything it started is gone", || {
        machine.processes().is_empty()
    });
}

/// A machine of its own as far as the network goes.
struct Machine {
    /// Lives until its input is closed, and the namespace with it.
    keeper: Child,
}

impl Machine {
    fn new() -> Self {
        let mut keeper = Command::new("unshare")
            .args([
                "--net",
                "sh",
                "-c",
                "ip link set lo up && echo ready && exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` of util-linux is there");
        let mut line = String::new();
        BufReader::new(keeper.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(
            line, "ready\n",
            "this test needs root and `ip` (apt-get install iproute2)"
        );
        Self { keeper }
    }

    fn sandbox(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.keeper.id()))
            .arg(env!("CARGO_BIN_EXE_sandbox"))
            .args(arguments)
            .env("CARGO_TARGET_DIR", home.path())
            .env_remove("KAFKA_BOOTSTRAP_SERVERS")
            .env_remove("AMQP_URL")
            .env("AWS_ENDPOINT_URL", "http://localhost:4566");
        command
    }

    fn run(&self, home: &Home, arguments: &[&str]) -> Output {
        self.sandbox(home, arguments).output().unwrap()
    }

    /// Pid and name of whatever else runs on this machine.
    fn processes(&self) -> Vec<(i32, String)> {
        let namespace = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let own = namespace(self.keeper.id()).unwrap();
        all_processes()
            .unwrap()
            .filter_map(|process| process.ok()?.stat().ok())
            .filter(|stat| stat.state != 'Z' && u32::try_from(stat.pid) != Ok(self.keeper.id()))
            .filter(|stat| namespace(u32::try_from(stat.pid).unwrap()).as_ref() == Some(&own))
            .map(|stat| (stat.pid, stat.comm))
            .collect()
    }

    fn listening(&self) -> Vec<SocketAddr> {
        let keeper = Process::new(i32::try_from(self.keeper.id()).unwrap()).unwrap();
        let entries = keeper
            .tcp()
            .unwrap()
            .into_iter()
            .chain(keeper.tcp6().unwrap());
        entries
            .filter(|entry| entry.state == TcpState::Listen)
            .map(|entry| entry.local_address)
            .collect()
    }
}

impl Drop for Machine {
    /// Nothing outlives a test that failed in the middle.
    fn drop(&mut self) {
        for (pid, _) in self.processes() {
            kill(pid);
        }
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// A target folder.
struct Home(TempDir);

impl Home {
    fn empty() -> Self {
        Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    /// With the brokers that are downloaded already.
    fn with_prepared(prepared: &Path) -> Self {
        let home = Self::empty();
        let folder = home.path().join("sandbox");
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(prepared).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.join("complete").exists() {
                symlink(&path, folder.join(path.file_name().unwrap())).unwrap();
            }
        }
        home
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn await_that(what: &str, holds: impl Fn() -> bool) {
    let limit = scaled(Duration::from_secs(30));
    let deadline = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < deadline, "not in {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One that has ended meanwhile is fine.
fn kill(pid: i32) {
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// What a call that must succeed printed.
fn success(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The error of a call that must fail.
fn failure(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    let errors = text(&output.stderr);
    let start = errors
        .find("error: ")
        .unwrap_or_else(|| panic!("no error in {errors}"));
    errors[start..].to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
