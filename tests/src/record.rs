//! Writing down what a program printed, and when and with what it ran.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use guide::examples::{Example, Kind, System, Varies};
use sandbox::{Broker, KAFKA_TOOLS_VERSION};

use crate::brokers::Brokers;

/// The broker that a system's programs talk to.
pub fn broker(system: System) -> Broker {
    match system {
        System::Kafka => Broker::Kafka,
        System::RabbitMq => Broker::RabbitMq,
        System::Sqs | System::Sns => Broker::LocalStack,
    }
}

/// The systems that an example talks to: its own, and for a bridge RabbitMQ on the other side. A test
/// may be arithmetic and talk to none.
fn systems(example: &Example) -> Vec<System> {
    let code = guide::rust_code_only(&example.program());
    let uses = |system: System| {
        let client = client_package(system).replace('-', "_");
        code.contains(&format!("use {client}::"))
    };
    let is_own = |system| system == example.system() && example.kind != Kind::Test;
    let talks = |system: &System| match *system {
        system if is_own(system) => true,
        system if system == example.system() => uses(system),
        system => system == System::RabbitMq && uses(system),
    };
    System::ALL.into_iter().filter(talks).collect()
}

/// The brokers that an example needs. A test of `snippets/` brings what it needs.
pub fn needs(example: &Example) -> Vec<Broker> {
    match example.kind {
        Kind::Test => Vec::new(),
        _ => systems(example).into_iter().map(broker).collect(),
    }
}

fn client_package(system: System) -> &'static str {
    match system {
        System::Kafka => "rdkafka",
        System::RabbitMq => "lapin",
        System::Sqs => "aws-sdk-sqs",
        System::Sns => "aws-sdk-sns",
    }
}

/// The clients that an example uses, with their versions.
fn clients(root: &Path, example: &Example) -> Result<String> {
    if example.kind == Kind::Transcript {
        return Ok(format!("Kafka's command-line tools {KAFKA_TOOLS_VERSION}"));
    }
    let packages = systems(example).into_iter().map(client_package);
    let named = packages.map(|name| Ok(format!("{name} {}", locked_version(root, name)?)));
    let named = named.collect::<Result<Vec<_>>>()?;
    Ok(if named.is_empty() {
        "no client".to_owned()
    } else {
        named.join(", ")
    })
}

/// Writes down what an example printed and the record of it. What may vary is kept from the old
/// record.
///
/// # Errors
/// A version cannot be found out, or a file cannot be written.
pub fn write(root: &Path, example: &Example, printed: &str, brokers: &Brokers) -> Result<()> {
    let record = content(root, example, brokers)?;
    for (extension, text) in [("txt", printed), ("toml", &record)] {
        let file = root.join(example.output_file(extension));
        fs::create_dir_all(file.parent().unwrap_or(root))?;
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn content(root: &Path, example: &Example, brokers: &Brokers) -> Result<String> {
    let today = jiff::ZonedDateTime::now().date();
    let mut text = format!("recorded = {today}\n");
    let named = needs(example);
    let named = named.iter().map(|broker| version(*broker, brokers));
    let named = named.collect::<Result<Vec<_>>>()?.join(", ");
    if !named.is_empty() {
        text += &format!("broker = \"{named}\"\n");
    }
    text += &format!("client = \"{}\"\n", clients(root, example)?);
    if example.kind != Kind::Transcript {
        text += &format!("rust = \"{}\"\n", rust_version()?);
    }
    let varies = example.varies(root).map_err(anyhow::Error::msg)?;
    for Varies { line, pattern } in varies {
        let pattern = toml::Value::String(pattern.clone());
        text += &format!("\n[[varies]]\nline = {line}\npattern = {pattern}\n");
    }
    Ok(text)
}

/// The name and version of a broker that runs.
fn version(broker: Broker, brokers: &Brokers) -> Result<&str> {
    let version = brokers
        .sandbox()
        .and_then(|sandbox| sandbox.version(broker));
    version.with_context(|| format!("{broker:?} did not say its version; record with the sandbox"))
}

/// The version of a package in Cargo.lock.
///
/// # Errors
/// The file cannot be read, or has no such package.
pub fn locked_version(root: &Path, package: &str) -> Result<String> {
    let lock: toml::Table = fs::read_to_string(root.join("Cargo.lock"))?.parse()?;
    let packages = lock["package"]
        .as_array()
        .context("Cargo.lock lists no packages")?;
    let found = packages
        .iter()
        .find(|p| p["name"].as_str() == Some(package));
    let version = found.and_then(|found| found["version"].as_str());
    Ok(version
        .with_context(|| format!("Cargo.lock has no {package}"))?
        .to_owned())
}

/// The version of the compiler that builds the programs: `1.95.0`.
pub(crate) fn rust_version() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.context("cannot ask rustc for its version")?;
    let text = String::from_utf8(output.stdout)?;
    let version = text
        .split(' ')
        .nth(1)
        .context("rustc did not say its version")?;
    Ok(version.to_owned())
}
