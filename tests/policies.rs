//! The policies beside the programs: each action is an operation that the SDK knows, and no wildcard
//! gives away more than it names.

use std::{any::type_name, collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use aws_sdk_sns::operation as sns;
use aws_sdk_sqs::operation as sqs;
use serde_json::Value;

/// The actions that the policies may allow, each by the type of its operation in the SDK: one that
/// the SDK does not have does not compile.
fn operations() -> BTreeSet<&'static str> {
    let mut actions = BTreeSet::from(OF_KMS);
    for operation in [
        type_name::<sqs::change_message_visibility::ChangeMessageVisibility>(),
        type_name::<sqs::create_queue::CreateQueue>(),
        type_name::<sqs::delete_message::DeleteMessage>(),
        type_name::<sqs::delete_queue::DeleteQueue>(),
        type_name::<sqs::get_queue_attributes::GetQueueAttributes>(),
        type_name::<sqs::get_queue_url::GetQueueUrl>(),
        type_name::<sqs::receive_message::ReceiveMessage>(),
        type_name::<sqs::send_message::SendMessage>(),
        type_name::<sns::publish::Publish>(),
    ] {
        actions.insert(operation);
    }
    actions
}

/// KMS has no crate here: what a queue's encryption needs of it stands in the SQS developer guide.
const OF_KMS: [&str; 2] = ["kms::GenerateDataKey", "kms::Decrypt"];

/// Whether one of the operations, such as `aws_sdk_sqs::operation::send_message::SendMessage`, is the
/// one that an action names, such as `sqs:SendMessage`.
fn exists(action: &str) -> bool {
    let Some((service, name)) = action.split_once(':') else {
        return false;
    };
    let matches = |operation: &&str| {
        let mut parts = operation.split("::");
        let of_service = parts.next().is_some_and(|part| part.ends_with(service));
        of_service && parts.last() == Some(name)
    };
    operations().iter().any(matches)
}

fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn check(policy: &str) -> Result<()> {
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
            ensure!(exists(action), "the SDK has no `{action}`");
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
    let files = policies()?;
    ensure!(files.len() >= 5, "only {} policies", files.len());
    for file in files {
        check(&fs::read_to_string(&file)?).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

#[test]
fn a_wrong_policy_is_refused() -> Result<()> {
    let good = fs::read_to_string(tests::root().join("snippets/sns/policies/fanout-queue.json"))?;
    check(&good)?;
    for (right, wrong) in [
        ("sqs:SendMessage", "sqs:SendMessages"),
        ("sqs:SendMessage", "sqs:*"),
        ("sqs:SendMessage", "s3:GetObject"),
        ("111122223333:billing", "*"),
        ("ArnEquals", "StringEquals"),
    ] {
        let bad = good.replace(right, wrong);
        ensure!(check(&bad).is_err(), "`{wrong}` was not noticed");
    }
    Ok(())
}
