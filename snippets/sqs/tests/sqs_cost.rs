//! What SQS and SNS cost a month: the formula as functions, three workloads as tests.
//!
//! Guarantee: arithmetic only. The prices are list prices of us-east-1, written down in the summer of
//! 2026; look yours up. Data transfer, encryption keys and discounts are not in it.
//!
//! Run: `cargo test --test sqs_cost`

use anyhow::{Result, ensure};

// ANCHOR: formula
/// A month's work. A batch is what one call sends, receives or deletes: from 1 to 10 messages.
struct Workload {
    messages: u64,
    kilobytes: u64,
    batch: u64,
    /// Queues behind an SNS topic, each with a copy; 1 without SNS.
    queues: u64,
    /// Receives that bring nothing. The most: 3 a minute for a worker that polls at 20 s each.
    empty_receives: u64,
}

const FREE_REQUESTS: u64 = 1_000_000; // a month, of SQS and of SNS
const SQS_STANDARD: f64 = 0.40; // dollars for a million requests
const SQS_FIFO: f64 = 0.50;
const SNS_PUBLISH: f64 = 0.50;

/// Each 64 KB of a payload counts as a request of its own.
fn chunks(kilobytes: u64) -> u64 {
    kilobytes.div_ceil(64).max(1)
}

/// Requests of one queue: to send and to receive by the payload, to delete by the call.
fn sqs_requests(work: &Workload) -> u64 {
    let calls = work.messages.div_ceil(work.batch);
    let by_payload = calls * chunks(work.kilobytes * work.batch);
    2 * by_payload + calls + work.empty_receives
}

/// Dollars a month without SNS.
fn sqs(work: &Workload, million: f64) -> f64 {
    dollars(sqs_requests(work).saturating_sub(FREE_REQUESTS), million)
}

/// Dollars a month with a topic in front. Assumed, not read: SNS counts 64 KB as SQS does, and
/// delivers to SQS for nothing.
fn sns_with_queues(work: &Workload) -> f64 {
    let calls = work.messages.div_ceil(work.batch);
    let by_payload = calls * chunks(work.kilobytes * work.batch);
    let queue = by_payload + calls + work.empty_receives;
    let receives_and_deletes = (queue * work.queues).saturating_sub(FREE_REQUESTS);
    let publishes = by_payload.saturating_sub(FREE_REQUESTS);
    dollars(publishes, SNS_PUBLISH) + dollars(receives_and_deletes, SQS_STANDARD)
}

fn dollars(requests: u64, million: f64) -> f64 {
    requests as f64 / 1e6 * million
}
// ANCHOR_END: formula

const IDLE_WORKER: u64 = 3 * 60 * 24 * 30; // empty receives of one worker in a month

fn is(expected: f64, found: f64) -> Result<()> {
    ensure!((expected - found).abs() < 0.005, "{found:.2} dollars, not {expected:.2}");
    Ok(())
}

// ANCHOR: workloads
fn small_shop() -> Workload {
    let empty_receives = 2 * IDLE_WORKER;
    Workload { messages: 1_000_000, kilobytes: 2, batch: 1, queues: 3, empty_receives }
}

fn busy_shop(batch: u64) -> Workload {
    Workload { messages: 100_000_000, kilobytes: 2, batch, queues: 3, empty_receives: 0 }
}

fn scans() -> Workload {
    Workload { messages: 10_000_000, kilobytes: 200, batch: 1, queues: 1, empty_receives: 0 }
}
// ANCHOR_END: workloads

#[test]
fn small_shop_sqs_0_90_dollars() -> Result<()> {
    is(0.90, sqs(&small_shop(), SQS_STANDARD))
}

#[test]
fn small_shop_fifo_1_13_dollars() -> Result<()> {
    is(1.13, sqs(&small_shop(), SQS_FIFO))
}

#[test]
fn small_shop_sns_with_three_queues_2_31_dollars() -> Result<()> {
    is(2.31, sns_with_queues(&small_shop()))
}

#[test]
fn busy_shop_sqs_119_60_dollars() -> Result<()> {
    is(119.60, sqs(&busy_shop(1), SQS_STANDARD))
}

#[test]
fn busy_shop_in_batches_sqs_11_60_dollars() -> Result<()> {
    is(11.60, sqs(&busy_shop(10), SQS_STANDARD))
}

#[test]
fn busy_shop_in_batches_fifo_14_50_dollars() -> Result<()> {
    is(14.50, sqs(&busy_shop(10), SQS_FIFO))
}

#[test]
fn busy_shop_in_batches_sns_with_three_queues_28_10_dollars() -> Result<()> {
    is(28.10, sns_with_queues(&busy_shop(10)))
}

#[test]
fn scans_sqs_35_60_dollars() -> Result<()> {
    is(35.60, sqs(&scans(), SQS_STANDARD))
}

#[test]
fn scans_as_claim_checks_sqs_11_60_dollars() -> Result<()> {
    is(11.60, sqs(&Workload { kilobytes: 1, ..scans() }, SQS_STANDARD))
}

#[test]
fn scans_sns_with_a_queue_39_10_dollars() -> Result<()> {
    is(39.10, sns_with_queues(&scans()))
}
