//! A static member restarts without a rebalance; a dynamic one costs its group two.
//!
//! Guarantee: a member with a `group.instance.id` keeps its partitions while it is away. Holds when
//! it is back within `session.timeout.ms`; until then nobody reads them.
//!
//! Run: `cargo run --example kafka_static_member`

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    error::RDKafkaErrorCode,
};
use tokio::time::{Instant, sleep, timeout};

const TOPIC: &str = "kafka-static-member.orders";
const PARTITIONS: i32 = 2;
const GROUPS: [&str; 2] = ["kafka-static-member.dynamic", "kafka-static-member.static"];

/// Counts how often a member is told to give up its partitions.
#[derive(Default)]
struct Interruptions(AtomicUsize);

impl ClientContext for Interruptions {}

impl ConsumerContext for Interruptions {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        if matches!(change, Rebalance::Revoke(_)) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

type Member = StreamConsumer<Interruptions>;

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
    remove_topic(&admin).await?; // left by a run that was cut off
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    println!("{TOPIC}, {PARTITIONS} partitions, two members; the second restarts");
    let shown = show(&config).await;
    eprintln!("a static member is waited for until its session times out, 6 s here");
    let cleaned = clean_up(&admin).await;
    shown.and(cleaned)
}

async fn show(config: &ClientConfig) -> Result<()> {
    let [dynamic, static_] = GROUPS;
    for (group, is_static) in [(dynamic, false), (static_, true)] {
        // ANCHOR: restart
        let first = join(config, group, is_static.then_some("worker-1"))?;
        let second = join(config, group, is_static.then_some("worker-2"))?;
        wait_for(&[(&first, 1), (&second, 1)]).await?;
        first.context().0.store(0, Ordering::Relaxed);

        drop(second); // a dynamic member says goodbye, a static one is silent
        if !is_static {
            wait_for(&[(&first, 2)]).await?;
        }
        let second = join(config, group, is_static.then_some("worker-2"))?;
        wait_for(&[(&first, 1), (&second, 1)]).await?;
        // ANCHOR_END: restart
        let interruptions = first.context().0.load(Ordering::Relaxed);
        let kind = if is_static { "static" } else { "dynamic" };
        println!("{kind}: the first member was interrupted {interruptions} times");
    }
    Ok(())
}

fn join(config: &ClientConfig, group: &str, instance: Option<&str>) -> Result<Member> {
    let mut config = config.clone();
    config.set("group.id", group).set("session.timeout.ms", "6000"); // by default 45 s
    if let Some(instance) = instance {
        config.set("group.instance.id", instance);
    }
    let member: Member = config.create_with_context(Interruptions::default())?;
    member.subscribe(&[TOPIC])?;
    Ok(member)
}

/// Polls until each member has so many partitions.
async fn wait_for(members: &[(&Member, usize)]) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let mut settled = true;
        for (member, share) in members {
            let _ = timeout(Duration::from_millis(20), member.recv()).await;
            settled &= member.assignment()?.count() == *share;
        }
        if settled {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the group did not settle within 30 s");
    }
}

/// Removes the topic, and the groups as soon as they are empty.
async fn clean_up(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    for group in GROUPS {
        loop {
            let deleted = admin.delete_groups(&[group], &AdminOptions::new()).await?;
            match deleted.into_iter().next().context("no answer")? {
                Ok(_) | Err((_, RDKafkaErrorCode::GroupIdNotFound)) => break,
                Err((_, RDKafkaErrorCode::NonEmptyGroup)) if Instant::now() < deadline => {
                    sleep(Duration::from_millis(200)).await;
                }
                Err((group, code)) => bail!("cannot delete {group}: {code}"),
            }
        }
    }
    remove_topic(admin).await
}

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        match deleted {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("cannot delete {topic}: {code}"),
        }
    }
    Ok(())
}
