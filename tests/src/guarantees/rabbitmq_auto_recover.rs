//! lapin's own recovery after the death of its node: it comes back, or it hangs and must be given up.
//!
//! Run: `cargo run --bin guarantees rabbitmq_auto_recover`

use std::{sync::atomic::Ordering, time::Duration};

use anyhow::Result;
use guide::guarantees::Counts;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare},
    tally::wait_for,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_auto_recover",
    title: "RabbitMQ: publisher’s only node killed",
    does: "The home of a classic queue, which also has the publisher's connection, is killed and started again; lapin's enable_auto_recover gets 15 s, then the publisher connects anew.",
    on: On::ThreeRabbitMq,
    run,
};

const ATTEMPTS: [&str; 3] = ["first time", "second time", "third time"];

fn run(lab: &mut Lab) -> Result<Findings> {
    let mut findings = Findings::default();
    let (mut lost, mut hung) = (0, 0);
    for attempt in ATTEMPTS {
        let (counts, times) = killed(lab, attempt)?;
        findings.case(attempt, &counts);
        lost += counts.lost;
        hung += usize::from(times > 0);
    }
    let attempts = ATTEMPTS.len();
    findings.note(format!(
        "lapin's recovery hung in {hung} of {attempts} runs"
    ));
    findings.conclude("no confirmed message is lost", lost == 0);
    Ok(findings)
}

fn killed(lab: &mut Lab, attempt: &str) -> Result<(Counts, usize)> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let queue = format!("auto-recover.{attempt}");
    let url = cluster.endpoint(1)?;
    wait(&runtime, "a queue", LIMIT, declare(&url, &queue, "classic"))?;
    // ANCHOR: fault
    let mut publisher = Publisher::new(vec![url.clone()], &queue, "classic");
    publisher.recovery = Some(Duration::from_secs(15));
    let publishing = runtime.spawn(publisher.clone().publish());
    wait_for("5,000 confirmed messages", LIMIT, || {
        Ok(publisher.receipts.confirmed() >= 5_000)
    })?;
    publisher.receipts.restart_clock();
    cluster.kill(1)?;
    cluster.restart(&[1])?;
    // ANCHOR_END: fault
    wait(&runtime, "everything confirmed", LIMIT * 2, async {
        publishing.await?
    })?;
    let counts = wait(&runtime, "reading", LIMIT * 2, publisher.counts(&url))?;
    Ok((counts, publisher.hung.load(Ordering::Relaxed)))
}
