//! What a member gives up when another joins, by each of Kafka's protocols and between two of them.
//!
//! Guarantee: a cooperative or KIP-848 rebalance takes from a member only the partitions that
//! move; an eager one takes all first. Holds when all members of the group use it.
//!
//! Run: `cargo run --example kafka_rebalance`

use std::{env, sync::mpsc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures::future::try_join_all;
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::RDKafkaErrorCode as Code,
};
use tokio::time::{Instant, sleep, timeout};

const TOPIC: &str = "kafka-rebalance.orders";
const PARTITIONS: usize = 4;
const GROUPS: [&str; 4] = [
    "kafka-rebalance.eager",
    "kafka-rebalance.cooperative",
    "kafka-rebalance.kip-848",
    "kafka-rebalance.changing",
];

/// Notes what a member is told to give up and what it is given.
struct Notes(mpsc::Sender<String>);

impl ClientContext for Notes {}

// ANCHOR: notes
impl ConsumerContext for Notes {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        let note = match change {
            Rebalance::Assign(partitions) if partitions.count() == 0 => return,
            Rebalance::Revoke(partitions) => format!("gives up {}", partitions.count()),
            Rebalance::Assign(partitions) => format!("gets {}", partitions.count()),
            Rebalance::Error(error) => format!("fails: {error}"),
        };
        let _ = self.0.send(note); // nobody listens to the second member
    }
}
// ANCHOR_END: notes

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread; nothing else runs on it yet.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    eprintln!("after a run that was cut off up to a minute: its members are missed after 45 s");
    clean_up(&config.create()?).await?; // left by a run that was cut off; a client of its own
    let topic = NewTopic::new(TOPIC, PARTITIONS as i32, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    let shown = show(&config).await;
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    println!("{TOPIC}, {PARTITIONS} partitions: the first member has all, a second joins");
    eprintln!("KIP-848 takes about 10 s: a change is told with a heartbeat, every 5 s");
    // ANCHOR: protocols
    let mut eager = config.clone();
    eager.set("group.id", GROUPS[0]); // the default: range or round-robin

    let mut cooperative = config.clone();
    cooperative.set("group.id", GROUPS[1]);
    cooperative.set("partition.assignment.strategy", "cooperative-sticky");

    let mut kip_848 = config.clone();
    kip_848.set("group.id", GROUPS[2]);
    kip_848.set("group.protocol", "consumer");
    // ANCHOR_END: protocols
    for classic in [&mut eager, &mut cooperative] {
        classic.set("session.timeout.ms", "6000"); // KIP-848 has it in the broker
    }
    let (mut old, mut new) = (eager.clone(), kip_848.clone()); // halfway through a deployment
    old.set("group.id", GROUPS[3]);
    new.set("group.id", GROUPS[3]);
    let pairs =
        [(&eager, &eager), (&cooperative, &cooperative), (&kip_848, &kip_848), (&old, &new)];
    let notes = try_join_all(pairs.map(|(first, second)| second_joins(first, second))).await?;
    println!("eager: the first {}", notes[0]);
    println!("cooperative: the first {}", notes[1]);
    println!("KIP-848: the first {}", notes[2]);
    println!("eager, the second with KIP-848: the first {}", notes[3]);
    Ok(())
}

/// Returns what the first member of a group went through when a second joined.
async fn second_joins(first: &ClientConfig, second: &ClientConfig) -> Result<String> {
    let (tell, notes) = mpsc::channel();
    let mut members = vec![join(first, tell)?];
    settle(&members).await?;
    let _alone = notes.try_iter().count();
    members.push(join(second, mpsc::channel().0)?);
    settle(&members).await?;
    Ok(notes.try_iter().collect::<Vec<_>>().join(", "))
}

fn join(config: &ClientConfig, notes: mpsc::Sender<String>) -> Result<StreamConsumer<Notes>> {
    let consumer: StreamConsumer<Notes> = config.create_with_context(Notes(notes))?;
    consumer.subscribe(&[TOPIC])?;
    Ok(consumer)
}

/// Polls until every member has its share of the partitions.
async fn settle(members: &[StreamConsumer<Notes>]) -> Result<()> {
    let share = PARTITIONS / members.len();
    let deadline = Instant::now() + Duration::from_secs(100);
    loop {
        let mut settled = true;
        for member in members {
            // A member takes part in a rebalance only while it polls.
            let _ = timeout(Duration::from_millis(20), member.recv()).await;
            settled &= member.assignment()?.count() == share;
        }
        if settled {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the group did not settle within 100 s");
    }
}

/// Removes the groups when they are empty, then the topic; some may never have come to be.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let (options, deadline) = (AdminOptions::new(), Instant::now() + Duration::from_secs(90));
    while let Err(error) = gone(admin.delete_groups(&GROUPS, &options).await?) {
        ensure!(Instant::now() < deadline, "{error:#}");
        sleep(Duration::from_millis(500)).await;
    }
    gone(admin.delete_topics(&[TOPIC], &options).await?)
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
