//! Writing down what a program printed, and when and with what it ran.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};
use guide::examples::{Example, System, Varies};
use sandbox::Broker;

use crate::brokers::Brokers;

/// The broker that a system's programs talk to.
pub fn broker(system: System) -> Broker {
    match system {
        System::Kafka => Broker::Kafka,
        System::RabbitMq => Broker::RabbitMq,
        System::Sqs | System::Sns => Broker::LocalStack,
    }
}

/// The client library that a system's programs use.
fn client(system: System) -> &'static str {
    match system {
        System::Kafka => "rdkafka",
        System::RabbitMq => "lapin",
        System::Sqs => "aws-sdk-sqs",
        System::Sns => "aws-sdk-sns",
    }
}

/// Writes `output/NAME.txt` and `output/NAME.toml`. What may vary is kept from the old record.
///
/// # Errors
/// A version cannot be found out, or a file cannot be written.
pub fn write(root: &Path, example: &Example, printed: &str, brokers: &Brokers) -> Result<()> {
    let folder = root
        .join("snippets")
        .join(&example.crate_folder)
        .join("output");
    let varies = example.varies(root).map_err(anyhow::Error::msg)?;
    let record = content(root, example.system(), &varies, brokers)?;
    fs::create_dir_all(&folder)?;
    for (extension, text) in [("txt", printed), ("toml", &record)] {
        let file = folder.join(&example.name).with_extension(extension);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn content(root: &Path, system: System, varies: &[Varies], brokers: &Brokers) -> Result<String> {
    let broker = broker(system);
    let broker = brokers
        .sandbox()
        .and_then(|sandbox| sandbox.version(broker))
        .with_context(|| format!("{broker:?} did not say its version; record with the sandbox"))?;
    let client = client(system);
    let today = jiff::ZonedDateTime::now().date();
    let mut text = format!(
        "recorded = {today}\nbroker = \"{broker}\"\nclient = \"{client} {}\"\nrust = \"{}\"\n",
        locked_version(root, client)?,
        rust_version()?,
    );
    for Varies { line, pattern } in varies {
        let pattern = toml::Value::String(pattern.clone());
        text += &format!("\n[[varies]]\nline = {line}\npattern = {pattern}\n");
    }
    Ok(text)
}

/// The version of a package in Cargo.lock.
fn locked_version(root: &Path, package: &str) -> Result<String> {
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
fn rust_version() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.context("cannot ask rustc for its version")?;
    let text = String::from_utf8(output.stdout)?;
    let version = text
        .split(' ')
        .nth(1)
        .context("rustc did not say its version")?;
    Ok(version.to_owned())
}
