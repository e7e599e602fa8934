//! The policies beside the programs: each action is an operation that the SDK knows, and no wildcard
//! gives away more than it names.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The sources of the SDK's crates, by the prefix of their actions. KMS has no crate here: what a
/// queue's encryption needs of it stands in the SQS developer guide.
struct Operations {
    sources: BTreeMap<&'static str, PathBuf>,
}

const OF_KMS: [&str; 2] = ["GenerateDataKey", "Decrypt"];

impl Operations {
    fn find() -> Result<Self> {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--locked", "--offline", "--format-version", "1"])
            .current_dir(tests::root())
            .output()
            .context("running cargo metadata")?;
        let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
        let source = |name: &str| -> Result<PathBuf> {
            let package = metadata["packages"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|package| package["name"] == name)
                .with_context(|| format!("no {name}"))?;
            let manifest = package["manifest_path"].as_str().context("no path")?;
            let folder = Path::new(manifest).parent().context("no folder")?;
            Ok(folder.join("src/operation"))
        };
        let sources = BTreeMap::from([
            ("sqs", source("aws-sdk-sqs")?),
            ("sns", source("aws-sdk-sns")?),
        ]);
        Ok(Self { sources })
    }

    fn check(&self, action: &str) -> Result<()> {
        let (service, operation) = action
            .split_once(':')
            .with_context(|| format!("`{action}` names no service"))?;
        if service == "kms" {
            ensure!(OF_KMS.contains(&operation), "`{action}` is not needed");
            return Ok(());
        }
        let source = self
            .sources
            .get(service)
            .with_context(|| format!("`{action}` is of another service"))?;
        let module = source.join(format!("{}.rs", snake_case(operation)));
        ensure!(module.is_file(), "the SDK has no operation `{action}`");
        Ok(())
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn check(policy: &str, operations: &Operations) -> Result<()> {
    let policy: Value = serde_json::from_str(policy).context("no JSON")?;
    ensure!(policy["Version"] == "2012-10-17", "an old version");
    let statements = policy["Statement"].as_array().context("no statements")?;
    ensure!(!statements.is_empty(), "no statement");
    for statement in statements {
        ensure!(
            !statement.to_string().contains('*'),
            "a wildcard in {statement}"
        );
        ensure!(
            statement["Effect"] == "Allow",
            "what is not allowed is denied"
        );
        let actions = strings(&statement["Action"]);
        ensure!(!actions.is_empty(), "no action in {statement}");
        for action in actions {
            operations.check(action)?;
        }
        let resources = strings(&statement["Resource"]);
        ensure!(!resources.is_empty(), "no resource in {statement}");
        ensure!(
            statement["Principal"]["Service"].is_null()
                || statement["Condition"]["ArnEquals"]["aws:SourceArn"].is_string(),
            "a service is let in for everybody: {statement}"
        );
    }
    Ok(())
}

fn policies() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for system in ["sqs", "sns"] {
        let folder = tests::root().join("snippets").join(system).join("policies");
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            files.push(entry?.path());
        }
    }
    Ok(files)
}

#[test]
fn every_policy_allows_what_exists_and_no_more_than_it_names() -> Result<()> {
    let operations = Operations::find()?;
    let files = policies()?;
    ensure!(files.len() >= 5, "only {} policies", files.len());
    for file in files {
        check(&fs::read_to_string(&file)?, &operations)
            .with_context(|| file.display().to_string())?;
    }
    Ok(())
}

#[test]
fn a_wrong_policy_is_refused() -> Result<()> {
    let operations = Operations::find()?;
    let good = fs::read_to_string(tests::root().join("snippets/sns/policies/fanout-queue.json"))?;
    check(&good, &operations)?;
    for (right, wrong) in [
        ("sqs:SendMessage", "sqs:SendMessages"),
        ("sqs:SendMessage", "sqs:*"),
        ("sqs:SendMessage", "s3:GetObject"),
        ("111122223333:billing", "*"),
        ("ArnEquals", "StringEquals"),
    ] {
        let bad = good.replace(right, wrong);
        ensure!(
            check(&bad, &operations).is_err(),
            "`{wrong}` was not noticed"
        );
    }
    Ok(())
}
