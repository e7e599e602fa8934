//! A consumer that works first and commits afterwards: a crash repeats records.
//!
//! Guarantee: at least once. No record is lost, and the one that was processed but not committed is
//! processed again after a crash. Holds while nothing is committed before its work is done.
//!
//! Run: `cargo run --example kafka_at_least_once`

use std::{
    env, io,
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureProducer, FutureRecord},
    util::Timeout,
};

const TOPIC: &str = "kafka-at-least-once.payments";
const GROUP: &str = "kafka-at-least-once.billing";
const PAYMENTS: u32 = 12;
const DIES_AT: u32 = 7;

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    // The program starts itself again as a worker: a crash ends the whole process.
    if let Some(dies_at) = env::args().nth(1) {
        return work(&config, dies_at.parse()?);
    }

    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as the worker does; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;

    remove_topic(&admin).await?; // left by a run that was cut off, with its group's offsets
    let topic = NewTopic::new(TOPIC, 1, TopicReplication::Fixed(1));
    for created in admin.create_topics([&topic], &AdminOptions::new()).await? {
        created.map_err(|(_, code)| code)?;
    }
    place_payments(&config).await?;
    let counted = count();
    let removed = remove_topic(&admin).await;
    let deleted = delete_group(&admin).await;
    counted.and(removed).and(deleted)
}

/// Runs a worker that dies and one that takes over, and counts what was charged.
fn count() -> Result<()> {
    let first = run_worker(DIES_AT)?;
    println!("worker 1 charges {first:?} and dies at payment {DIES_AT}");
    eprintln!("waiting until the group misses it, 6 s after its last heartbeat");
    let second = run_worker(u32::MAX)?;
    println!("worker 2 charges {second:?}");

    let charged = [first, second].concat();
    let times = |payment| charged.iter().filter(|other| **other == payment).count();
    let lost: Vec<u32> = (1..=PAYMENTS).filter(|p| times(*p) == 0).collect();
    let repeated: Vec<u32> = (1..=PAYMENTS).filter(|p| times(*p) > 1).collect();
    println!("lost: {} of {PAYMENTS} {lost:?}", lost.len());
    println!("charged twice: {} of {PAYMENTS} {repeated:?}", repeated.len());
    Ok(())
}

/// Runs this program as a worker and returns the payments that it charged.
fn run_worker(dies_at: u32) -> Result<Vec<u32>> {
    let mut worker = Command::new(env::current_exe()?);
    worker.arg(dies_at.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut worker = worker.spawn()?;
    let _leash = worker.stdin.take(); // closed when this program ends, however it ends
    let worker = worker.wait_with_output()?;
    let died = worker.status.code().is_none();
    ensure!(died == (dies_at <= PAYMENTS), "the worker failed");
    let charged = String::from_utf8(worker.stdout)?;
    charged.lines().map(|line| Ok(line.parse()?)).collect()
}

/// Charges what is in the topic; at payment `dies_at` the process is gone.
fn work(config: &ClientConfig, dies_at: u32) -> Result<()> {
    thread::spawn(|| {
        let _ = io::read_to_string(io::stdin()); // until the leash is closed
        process::abort();
    });
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", GROUP)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("session.timeout.ms", "6000") // missed after 6 s, for this run; keep 45 s
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    let deadline = Instant::now() + Duration::from_secs(30);
    // ANCHOR: work
    loop {
        let payment = match consumer.poll(Duration::from_secs(1)) {
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
            Some(payment) => payment?,
            None if Instant::now() < deadline => continue, // also while it joins the group
            None => bail!("no payment within 30 s"),
        };
        let number: u32 = payment.payload_view::<str>().context("no payload")??.parse()?;
        println!("{number}"); // the charge
        if number == dies_at {
            process::abort();
        }
        // Until this is answered, the group counts it as unread.
        consumer.commit_message(&payment, CommitMode::Sync)?;
    }
    // ANCHOR_END: work
}

async fn place_payments(config: &ClientConfig) -> Result<()> {
    let producer: FutureProducer = config
        .clone()
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "10000")
        .create()?;
    for number in 1..=PAYMENTS {
        let payment = number.to_string();
        let record: FutureRecord<str, _> = FutureRecord::to(TOPIC).payload(&payment);
        producer.send(record, Timeout::Never).await.map_err(|(error, _)| error)?;
    }
    println!("{PAYMENTS} payments in {TOPIC}");
    Ok(())
}

async fn delete_group(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_groups(&[GROUP], &AdminOptions::new()).await? {
        if let Err((group, code)) = deleted {
            ensure!(code == RDKafkaErrorCode::GroupIdNotFound, "{group}: {code}");
        }
    }
    Ok(())
}

async fn remove_topic(admin: &AdminClient<DefaultClientContext>) -> Result<()> {
    for deleted in admin.delete_topics(&[TOPIC], &AdminOptions::new()).await? {
        if let Err((topic, code)) = deleted {
            ensure!(code == RDKafkaErrorCode::UnknownTopicOrPartition, "{topic}: {code}");
        }
    }
    Ok(())
}
