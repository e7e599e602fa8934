//! Members of consumer groups, and what the broker says of a group.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::Offset,
};

/// How long a group may take to come to rest.
pub const LIMIT: Duration = Duration::from_secs(60);

/// How long a group has been as it is when it rests.
const REST: Duration = Duration::from_millis(600);

/// What a coordinator answers that is not ready.
const LATER: [RDKafkaErrorCode; 3] = [
    RDKafkaErrorCode::CoordinatorLoadInProgress,
    RDKafkaErrorCode::CoordinatorNotAvailable,
    RDKafkaErrorCode::NotCoordinator,
];

/// How a member of a group is set up. Its name is its client id, with which its member id begins.
pub fn config(servers: &str, group: &str, name: &str, assignor: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("group.id", group)
        .set("client.id", name)
        .set("partition.assignment.strategy", assignor)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false");
    config
}

/// A member that polls in a thread of its own, and leaves when it is dropped.
pub struct Member {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    /// Subscribes.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn join(config: &ClientConfig, topic: &str) -> Result<Self> {
        let consumer: BaseConsumer = config.create()?;
        consumer.subscribe(&[topic])?;
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread = thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let _ = consumer.poll(Duration::from_millis(50));
            }
        });
        Ok(Self {
            end,
            thread: Some(thread),
        })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Who holds which partitions.
pub type Held = BTreeMap<String, Vec<i32>>;

/// Who holds what, as a trace writes it: `A01 B2`.
pub fn shown(held: &Held) -> String {
    let digits = |held: &Vec<i32>| held.iter().map(i32::to_string).collect::<String>();
    let each = held.iter().map(|(name, held)| name.clone() + &digits(held));
    each.collect::<Vec<_>>().join(" ")
}

/// Waits until these members, and no others, hold all partitions for a while.
///
/// # Errors
/// They don't in time.
pub fn at_rest(watch: &BaseConsumer, group: &str, members: &[String], count: i32) -> Result<Held> {
    let deadline = Instant::now() + LIMIT;
    let (mut last, mut since) = (None, Instant::now());
    loop {
        let (state, held) = described(watch, group)?;
        let mut partitions: Vec<i32> = held.values().flatten().copied().collect();
        partitions.sort_unstable();
        let is_whole = members.is_empty() || partitions == (0..count).collect::<Vec<_>>();
        let is_calm = matches!(state.as_str(), "Stable" | "Empty" | "Dead");
        let rests = is_calm && is_whole && held.keys().eq(members.iter());
        if !rests || last.as_ref() != Some(&held) {
            since = Instant::now();
        }
        if rests && since.elapsed() >= REST {
            return Ok(held);
        }
        ensure!(
            Instant::now() < deadline,
            "{group} does not come to rest: {state}, {held:?}, expected {members:?}"
        );
        last = Some(held);
        thread::sleep(Duration::from_millis(50));
    }
}

/// The state of a group that a rebalance does not leave.
///
/// # Errors
/// It leaves it, or does not come to it.
pub fn in_a_rebalance(watch: &BaseConsumer, group: &str) -> Result<String> {
    const STATE: &str = "PreparingRebalance";
    let deadline = Instant::now() + LIMIT / 6;
    let mut since = None;
    loop {
        let (state, _) = described(watch, group)?;
        match state.as_str() {
            STATE if since.get_or_insert_with(Instant::now).elapsed() > 2 * REST => {
                return Ok(state);
            }
            STATE => {}
            _ => ensure!(
                since.is_none(),
                "{group} was in a rebalance, and is {state}"
            ),
        }
        ensure!(
            Instant::now() < deadline,
            "{group} is {state}, in no rebalance"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// The state of a group, and who holds what, by the names of its members.
fn described(watch: &BaseConsumer, group: &str) -> Result<(String, Held)> {
    let groups = match watch.fetch_group_list(Some(group), Duration::from_secs(10)) {
        Err(KafkaError::GroupListFetch(code)) if LATER.contains(&code) => {
            return Ok(("loading".to_owned(), Held::new()));
        }
        groups => groups?,
    };
    let Some(group) = groups.groups().first() else {
        return Ok(("Empty".to_owned(), Held::new()));
    };
    let mut held = Held::new();
    for member in group.members() {
        let partitions = member.assignment().map(assigned).unwrap_or_default();
        held.insert(member.client_id().to_owned(), partitions);
    }
    Ok((group.state().to_owned(), held))
}

/// The partitions of an assignment to one topic: a version, a count of topics, a name, partitions.
fn assigned(bytes: &[u8]) -> Vec<i32> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(i32::from_be_bytes(bytes))
    };
    let read = || {
        let topics = number(2)?;
        let name = usize::from(u16::from_be_bytes(bytes.get(6..8)?.try_into().ok()?));
        let count = usize::try_from(number(8 + name)?).ok()?;
        let mut partitions = (0..count)
            .map(|index| number(12 + name + 4 * index))
            .collect::<Option<Vec<_>>>()?;
        partitions.sort_unstable();
        (topics == 1).then_some(partitions)
    };
    read().unwrap_or_default()
}

/// A member as a process of its own, which can be killed.
pub struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program as a member.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn join(servers: &str, topic: &str, name: &str, assignor: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args([MEMBER, servers, topic, name, assignor])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a member")?;
        let stdin = child.stdin.take().context("no pipe to it")?;
        let stdout = child.stdout.take().context("no pipe from it")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    /// Lets it read its partitions to the end, and commit.
    ///
    /// # Errors
    /// It has ended.
    pub fn read(&mut self) -> Result<()> {
        writeln!(self.stdin, "read")?;
        let mut answer = String::new();
        self.stdout.read_line(&mut answer)?;
        ensure!(answer.trim() == "read", "a member answers {answer:?}");
        Ok(())
    }

    /// Lets it leave.
    ///
    /// # Errors
    /// It does not end.
    pub fn leave(mut self) -> Result<()> {
        drop(self.stdin);
        self.child.wait()?;
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// It has ended already.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

/// The first argument of this program as a member.
pub const MEMBER: &str = "group-member";

/// What a member's process does: it polls, reads to the end and commits for each line of its input, and
/// leaves at the end of the input.
///
/// # Errors
/// The broker refuses something.
pub fn member(arguments: &[String]) -> Result<()> {
    let [servers, topic, name, assignor] = arguments else {
        anyhow::bail!("a member takes servers, topic, name and assignor");
    };
    let consumer: BaseConsumer = config(servers, topic, name, assignor).create()?;
    consumer.subscribe(&[topic])?;
    let (send, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        match lines.try_recv() {
            Ok(_) => {
                read_to_the_end(&consumer, topic)?;
                println!("read");
            }
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return Ok(()),
            Err(std::sync::mpsc::TryRecvError::Empty) => {}
        }
        let _ = consumer.poll(Duration::from_millis(50));
    }
}

fn read_to_the_end(consumer: &BaseConsumer, topic: &str) -> Result<()> {
    let assignment = consumer.assignment()?;
    let partitions: Vec<i32> = assignment
        .elements()
        .iter()
        .map(|e| e.partition())
        .collect();
    drop(assignment);
    let mut ends = TopicPartitionList::new();
    for partition in partitions {
        let (_, end) = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10))?;
        if end == 0 {
            continue;
        }
        let deadline = Instant::now() + LIMIT;
        while position(consumer, topic, partition)? < end {
            ensure!(
                Instant::now() < deadline,
                "partition {partition} is not read to {end}"
            );
            let _ = consumer.poll(Duration::from_millis(50));
        }
        ends.add_partition_offset(topic, partition, Offset::Offset(end))?;
    }
    if ends.count() > 0 {
        consumer.commit(&ends, CommitMode::Sync)?;
    }
    Ok(())
}

/// The offset of the next record, or 0 before the first; of what was committed before, that.
fn position(consumer: &BaseConsumer, topic: &str, partition: i32) -> Result<i64> {
    let offset = |list: &TopicPartitionList| match list.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    if let Some(offset) = offset(&consumer.position()?) {
        return Ok(offset);
    }
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, partition);
    let committed = consumer.committed_offsets(asked, Duration::from_secs(10))?;
    Ok(offset(&committed).unwrap_or(0))
}
