//! A classic queue has one home. While that is down its messages are refused, and what is sent again
//! comes out of order.
//!
//! Run: `cargo run --bin guarantees rabbitmq_home_killed`

use std::sync::atomic::Ordering;

use anyhow::Result;

use super::{
    Experiment, Findings, Lab, On,
    lab::wait,
    rabbitmq::{LIMIT, Publisher, declare},
    tally::wait_for,
};

pub const EXPERIMENT: Experiment = Experiment {
    name: "rabbitmq_home_killed",
    title: "RabbitMQ: home of a classic queue killed",
    does: "The home of a classic queue is killed and started again while a publisher on another node sends 5,000 persistent messages a second.",
    on: On::ThreeRabbitMq,
    run,
};

fn run(lab: &mut Lab) -> Result<Findings> {
    let runtime = lab.runtime();
    let cluster = lab.cluster(On::ThreeRabbitMq)?;
    let queue = "home-killed.classic";
    let (first, second) = (cluster.endpoint(1)?, cluster.endpoint(2)?);
    wait(
        &runtime,
        "a queue",
        LIMIT,
        declare(&first, queue, "classic"),
    )?;
    let publisher = Publisher::new(vec![second.clone()], queue, "classic");
    let publishing = runtime.spawn(publisher.clone().publish());
    wait_for("5,000 confirmed messages", LIMIT, || {
        Ok(publisher.receipts.confirmed() >= 5_000)
    })?;
    // ANCHOR: fault
    publisher.receipts.restart_clock();
    cluster.kill(1)?;
    cluster.restart(&[1])?;
    wait(&runtime, "everything confirmed", LIMIT, async {
        publishing.await?
    })?;
    let counts = wait(&runtime, "reading", LIMIT * 2, publisher.counts(&second))?;
    // ANCHOR_END: fault
    let again = publisher.again.load(Ordering::Relaxed);
    let mut findings = Findings::default();
    findings.case("classic queue, persistent messages", &counts);
    findings.conclude("no confirmed message is lost", counts.lost == 0);
    findings.conclude("messages are refused and sent again", again > 0);
    findings.conclude(
        "messages that were sent again come out of order",
        counts.reordered > 0,
    );
    Ok(findings)
}
