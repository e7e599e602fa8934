//! Brokers of a test: started once, all three beside a second sandbox with one of them.

use std::collections::HashSet;
use std::net::TcpStream;
use std::path::Path;
use std::thread;

use sandbox::{Broker, KAFKA_VERSION, LOCALSTACK_VERSION, Ports, RABBITMQ_SERIES, Sandbox};

#[test]
fn brokers_of_a_test() {
    // The user's endpoints must not count here; cargo sets one of them itself.
    let (all, one) = thread::scope(|scope| {
        let all = scope.spawn(|| Sandbox::start(&Broker::ALL, Ports::Free).unwrap());
        let one = scope.spawn(|| Sandbox::start(&[Broker::LocalStack], Ports::Free).unwrap());
        (all.join().unwrap(), one.join().unwrap())
    });
    environment_leads_to_brokers_of_its_own(&all, &one);
    versions_are_told_by_the_brokers(&all, &one);
    nothing_listens_beyond_this_machine(&all);
    stopping_one_leaves_the_other(all, &one);
    one.stop().unwrap();
}

fn environment_leads_to_brokers_of_its_own(all: &Sandbox, one: &Sandbox) {
    let environment = all.environment();
    let names: Vec<_> = environment.iter().map(|(name, _)| *name).collect();
    let expected = [
        "KAFKA_BOOTSTRAP_SERVERS",
        "AMQP_URL",
        "RABBITMQ_MANAGEMENT_URL",
        "AWS_ENDPOINT_URL",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
    ];
    assert_eq!(names, expected);
    for (name, value) in environment.iter().chain(&one.environment()) {
        if let Some(address) = address(value) {
            TcpStream::connect(address).unwrap_or_else(|error| panic!("{name}={value}: {error}"));
        }
    }
    let endpoint = ("AWS_ENDPOINT_URL", one.environment()[0].1.clone());
    assert!(
        !environment.contains(&endpoint),
        "two sandboxes have the same {endpoint:?}"
    );
}

/// HOST:PORT in an endpoint.
fn address(endpoint: &str) -> Option<&str> {
    let start = endpoint.find("127.0.0.1:")?;
    endpoint[start..].split('/').next()
}

fn versions_are_told_by_the_brokers(all: &Sandbox, one: &Sandbox) {
    let kafka = format!("Apache Kafka {KAFKA_VERSION}");
    assert_eq!(all.version(Broker::Kafka), Some(kafka.as_str()));
    let localstack = format!("LocalStack {LOCALSTACK_VERSION}");
    assert_eq!(one.version(Broker::LocalStack), Some(localstack.as_str()));
    assert_eq!(one.version(Broker::Kafka), None);
    let rabbitmq = all.version(Broker::RabbitMq).unwrap();
    let version = rabbitmq.strip_prefix("RabbitMQ ").unwrap();
    let number =
        |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().unwrap()).collect() };
    assert!(number(version) >= number(RABBITMQ_SERIES), "{rabbitmq}");
}

fn nothing_listens_beyond_this_machine(all: &Sandbox) {
    let listening = all.listening().unwrap();
    let ports: HashSet<u16> = listening.iter().map(std::net::SocketAddr::port).collect();
    let environment = all.environment();
    for address in environment.iter().filter_map(|(_, value)| address(value)) {
        let port = address.rsplit(':').next().unwrap().parse().unwrap();
        assert!(
            ports.contains(&port),
            "{address} is not among {listening:?}"
        );
    }
    // Besides those four: Kafka's controller, Erlang's distribution, epmd.
    assert!(ports.len() >= 7, "a socket is missing in {listening:?}");
    let beyond: Vec<_> = listening
        .iter()
        .filter(|address| !address.ip().to_canonical().is_loopback())
        .collect();
    assert!(
        beyond.is_empty(),
        "reachable from other machines: {beyond:?}"
    );
}

fn stopping_one_leaves_the_other(all: Sandbox, one: &Sandbox) {
    let pids: Vec<_> = Broker::ALL
        .into_iter()
        .flat_map(|broker| all.pids(broker))
        .collect();
    let log = all.log(Broker::Kafka).unwrap();
    // Kafka, LocalStack, and of RabbitMQ at least its namespace, the node and epmd.
    assert!(
        pids.len() >= 5 && pids.iter().all(|pid| runs(*pid)),
        "{pids:?}"
    );
    all.stop().unwrap();
    let left: Vec<_> = pids.into_iter().filter(|pid| runs(*pid)).collect();
    assert!(left.is_empty(), "still there: {left:?}");
    assert!(!log.exists(), "the data of the run is still there");
    assert!(one.pids(Broker::LocalStack).into_iter().all(runs));
}

/// A zombie does not run.
fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .starts_with(" Z")
    })
}
