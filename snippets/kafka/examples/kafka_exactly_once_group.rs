//! Read, process and write in transactions, while members of the group come and go in mid-batch.
//!
//! Guarantee: exactly once, from Kafka to Kafka, for readers with `isolation.level=read_committed`; not
//! for what the work does outside. Holds while a batch is committed as the member that read it.
//!
//! Run: `cargo run --example kafka_exactly_once_group`

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{collections::HashSet, env, thread};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::{
    ClientConfig, Message, Offset,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    producer::{BaseProducer, BaseRecord, Producer},
};

const PAYMENTS: &str = "kafka-exactly-once-group.payments";
const RECEIPTS: &str = "kafka-exactly-once-group.receipts";
const GROUPS: [&str; 2] = ["kafka-exactly-once-group.billing", "kafka-exactly-once-group.audit"];
const COUNT: usize = 800;
static GIVEN_UP: AtomicUsize = AtomicUsize::new(0);
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let brokers = env::var("KAFKA_BOOTSTRAP_SERVERS").unwrap_or("localhost:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers);
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    // Blocks the thread, as transactions do; no task is ever spawned.
    admin.inner().fetch_metadata(None, Duration::from_secs(5)).with_context(|| {
        format!(
            "cannot use Kafka at {brokers}; to start one: docker compose up -d --wait, \
                 or cargo run --bin sandbox -- up"
        )
    })?;
    let options = AdminOptions::new();
    gone(admin.delete_topics(&[PAYMENTS, RECEIPTS], &options).await?)?; // left by a run cut off
    let topics = [PAYMENTS, RECEIPTS].map(|t| NewTopic::new(t, 2, TopicReplication::Fixed(1)));
    for created in admin.create_topics(&topics, &options).await? {
        created.map_err(|(_, code)| code)?;
    }
    let counted = count(&config);
    let groups = gone(admin.delete_groups(&GROUPS, &options).await?);
    counted.and(groups).and(gone(admin.delete_topics(&[PAYMENTS, RECEIPTS], &options).await?))
}

fn count(config: &ClientConfig) -> Result<()> {
    println!("{COUNT} payments, one every 10 ms; worker 1 stays, 2 to 5 join and leave");
    let shop: BaseProducer = config.clone().set("enable.idempotence", "true").create()?;
    let (audit, mut receipts) = (reader(config, GROUPS[1], RECEIPTS)?, Vec::new());
    let (done, deadline) = (AtomicBool::new(false), Instant::now() + LIMIT);
    let stays = || !done.load(Relaxed) && Instant::now() < deadline;
    thread::scope(|scope| {
        let mut workers = vec![scope.spawn(|| work(config, 1, stays))];
        for payment in 0..COUNT {
            send(&shop, PAYMENTS, payment)?;
            thread::sleep(Duration::from_millis(10));
            if payment % 200 == 100 {
                let (number, mut rounds) = (2 + payment / 200, 0..30);
                workers.push(scope.spawn(move || work(config, number, || rounds.next().is_some())));
            }
        }
        while receipts.len() < COUNT && Instant::now() < deadline {
            receipts.extend(next(&audit)?);
        }
        done.store(true, Relaxed);
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    receipts.extend(next(&audit)?); // what there is too much
    let different = receipts.iter().collect::<HashSet<_>>().len();
    println!("batches given up: {}", if GIVEN_UP.load(Relaxed) > 5 { "yes" } else { "hardly" });
    println!("receipts: {} lost, {} repeated", COUNT - different, receipts.len() - different);
    Ok(())
}

// ANCHOR: work
fn work(config: &ClientConfig, number: usize, mut go_on: impl FnMut() -> bool) -> Result<()> {
    let consumer = reader(config, GROUPS[0], PAYMENTS)?;
    // One id for each running worker, the same after a restart.
    let id = format!("kafka-exactly-once-group.{number}");
    let producer: BaseProducer = config.clone().set("transactional.id", id).create()?;
    producer.init_transactions(LIMIT)?;
    while go_on() {
        // Before the batch: asked later, it can be of a membership that did not read it.
        let (member, mine) = (consumer.group_metadata(), consumer.assignment()?);
        let (payments, member) = (next(&consumer)?, member.context("not in a group")?);
        if consumer.assignment()? != mine || consumer.assignment_lost() {
            rewind(&consumer)?; // partitions moved: a part of the batch can be another's
            continue;
        }
        producer.begin_transaction()?;
        payments.iter().try_for_each(|payment| send(&producer, RECEIPTS, *payment))?;
        producer.flush(LIMIT)?; // an abort with receipts under way waits in vain
        let sent = producer.send_offsets_to_transaction(&consumer.position()?, &member, LIMIT);
        match sent.and_then(|()| producer.commit_transaction(LIMIT)) {
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                producer.abort_transaction(LIMIT)?;
                rewind(&consumer)?;
            }
            done => done?, // another error ends the worker: its next start begins anew
        }
    }
    Ok(())
}

/// Gives a batch up: goes back to what is committed, where something was read.
fn rewind(consumer: &BaseConsumer) -> Result<()> {
    GIVEN_UP.fetch_add(1, Relaxed);
    let committed = consumer.committed(LIMIT)?.to_topic_map();
    for ((topic, partition), read) in consumer.position()?.to_topic_map() {
        let place = match committed.get(&(topic.clone(), partition)) {
            _ if read == Offset::Invalid => continue, // it will begin at what is committed
            Some(Offset::Offset(place)) => Offset::Offset(*place),
            _ => Offset::Beginning,
        };
        consumer.seek(&topic, partition, place, LIMIT)?;
    }
    Ok(())
}
// ANCHOR_END: work

/// What comes within 200 ms.
fn next(consumer: &BaseConsumer) -> Result<Vec<usize>> {
    let (end, mut all) = (Instant::now() + Duration::from_millis(200), Vec::new());
    while Instant::now() < end {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => return Err(error.into()),
            Some(Ok(record)) => all.push(record.payload_view::<str>().context("empty")??.parse()?),
            _ => {} // nothing, or an error that passes
        }
    }
    Ok(all)
}

fn reader(config: &ClientConfig, group: &str, topic: &str) -> Result<BaseConsumer> {
    let mut config = config.clone();
    config.set("group.id", group).set("isolation.level", "read_committed");
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    let reader: BaseConsumer = config.set("session.timeout.ms", "6000").create()?; // default: 45 s
    Ok(reader.subscribe(&[topic]).map(|()| reader)?)
}

fn send(producer: &BaseProducer, topic: &str, payment: usize) -> Result<()> {
    let (text, partition) = (payment.to_string(), (payment % 2) as i32);
    let record = BaseRecord::<str, str>::to(topic).partition(partition).payload(&text);
    Ok(producer.send(record).map_err(|(error, _)| error)?)
}

/// Whether all of it is gone, or never was.
fn gone(results: Vec<TopicResult>) -> Result<()> {
    let fine = [Code::UnknownTopicOrPartition, Code::GroupIdNotFound];
    let mut failed = results.into_iter().filter_map(Result::err).filter(|e| !fine.contains(&e.1));
    failed.next().map_or(Ok(()), |(name, code)| bail!("cannot delete {name}: {code}"))
}
