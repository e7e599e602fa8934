//! Tests a sender on answers that were written down: the SDK's replay client, without AWS.
//!
//! Guarantee: the SDK is the real one, with its retries and its reading of answers; no request leaves
//! the process. Holds for answers that are written as AWS writes them, which nothing here checks.
//!
//! Run: `cargo test --test sqs_replay`

use anyhow::{Result, ensure};
use aws_sdk_sqs::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region,
        http::{HttpRequest, HttpResponse},
        retry::RetryConfig,
    },
    error::ProvideErrorMetadata,
    types::SendMessageBatchRequestEntry as Entry,
};
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};

// What is tested: a function of a service.
/// Sends orders in one request; gives back those that were refused, with the code.
async fn send(sqs: &Client, orders: &[&str]) -> Result<Vec<(String, String)>, aws_sdk_sqs::Error> {
    let entries = orders
        .iter()
        .enumerate()
        .map(|(index, order)| Entry::builder().id(index.to_string()).message_body(*order).build());
    let entries = entries.collect::<Result<_, _>>()?;
    let batch = sqs.send_message_batch().queue_url("https://sqs.example/orders");
    let answer = batch.set_entries(Some(entries)).send().await?;
    let failed = answer.failed().iter();
    Ok(failed.map(|failed| (failed.id().to_owned(), failed.code().to_owned())).collect())
}

// ANCHOR: tests
/// A client that gets these answers in turn: a status, the code by which the SDK knows errors of
/// SQS, and a body.
fn replay(answers: &[(u16, &'static str, &'static str)]) -> Result<(Client, StaticReplayClient)> {
    let mut events = Vec::new();
    for (status, code, body) in answers {
        let mut answer = HttpResponse::new((*status).try_into()?, (*body).into());
        if !code.is_empty() {
            answer.headers_mut().insert("x-amzn-query-error", *code);
        }
        events.push(ReplayEvent::new(HttpRequest::empty(), answer)); // requests are not compared
    }
    let replay = StaticReplayClient::new(events);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::standard().with_initial_backoff(std::time::Duration::ZERO))
        .http_client(replay.clone());
    Ok((Client::from_conf(config.build()), replay))
}

const SENT: &str = r#"{"Successful": [{"Id": "0", "MessageId": "m-0",
    "MD5OfMessageBody": "4ea5fd32b9d3c7a0ad9ad9a4b3a1ba4e"}], "Failed": []}"#;
const THROTTLED: &str = r#"{"__type": "ThrottlingException", "message": "Rate exceeded"}"#;
const NO_QUEUE: &str = "AWS.SimpleQueueService.NonExistentQueue;Sender";
const GONE: &str = r#"{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "gone"}"#;
const PARTLY: &str = r#"{"Successful": [], "Failed": [{"Id": "0", "SenderFault": true,
    "Code": "InvalidMessageContents", "Message": "Invalid characters found"}]}"#;

#[tokio::test]
async fn a_partial_failure_is_given_back() -> Result<()> {
    let (sqs, _) = replay(&[(200, "", PARTLY)])?;
    let refused = send(&sqs, &["order\0"]).await?;
    ensure!(refused == [("0".to_owned(), "InvalidMessageContents".to_owned())], "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_throttled_request_is_sent_again_by_the_sdk() -> Result<()> {
    let (sqs, replay) = replay(&[(400, "", THROTTLED), (200, "", SENT)])?;
    send(&sqs, &["order 17"]).await?;
    let requests = replay.actual_requests().count();
    ensure!(requests == 2, "{requests} requests");
    Ok(())
}

#[tokio::test]
async fn a_throttled_request_is_given_up_after_three_attempts() -> Result<()> {
    let (sqs, replay) = replay(&[(400, "", THROTTLED); 4])?;
    let error = send(&sqs, &["order 17"]).await.expect_err("it was sent");
    ensure!(error.code() == Some("ThrottlingException"), "{error:?}");
    let requests = replay.actual_requests().count();
    ensure!(requests == 3, "{requests} requests");
    Ok(())
}

#[tokio::test]
async fn a_queue_that_is_gone_is_an_error_of_its_own() -> Result<()> {
    let (sqs, replay) = replay(&[(400, NO_QUEUE, GONE), (200, "", SENT)])?;
    let error = send(&sqs, &["order 17"]).await.expect_err("it was sent");
    ensure!(matches!(error, aws_sdk_sqs::Error::QueueDoesNotExist(_)), "{error:?}");
    let requests = replay.actual_requests().count();
    ensure!(requests == 1, "{requests} requests: it would fail every time");
    Ok(())
}

#[tokio::test]
async fn limit_an_answer_without_the_code_is_another_error() -> Result<()> {
    let (sqs, _) = replay(&[(400, "", GONE)])?;
    let error = send(&sqs, &["order 17"]).await.expect_err("it was sent");
    ensure!(!matches!(error, aws_sdk_sqs::Error::QueueDoesNotExist(_)), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn limit_what_aws_refuses_is_accepted() -> Result<()> {
    let (sqs, _) = replay(&[(200, "", SENT)])?;
    let eleven = ["order"; 11]; // ten are allowed
    let refused = send(&sqs, &eleven).await?;
    ensure!(refused.is_empty(), "{refused:?}");
    Ok(())
}
// ANCHOR_END: tests
