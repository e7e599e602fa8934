#!/usr/bin/env bash
# lapin hands a returned message to whichever confirm completes next, be it that of another message.
#
# Its documentation says of Confirmation::take_message: "Returns `Some` only when the message was
# unroutable and returned by the broker". With one confirm outstanding at a time that holds. With
# several on one channel it does not: the confirm of a mandatory message that reached its queue can
# bring a returned message, and the confirm of a message that came back can bring none. A publisher
# that sends a message again because its confirm brought a return sends the wrong one and loses the
# right one. What comes back is whole: its own body says which message it is, and each comes back
# once.
#
# The broker returns a message before it confirms it, but other confirms may come between the two,
# and one confirm may answer for many messages ("multiple"). lapin keeps returned messages in one
# line per channel and gives the first of it to each confirm that it completes; those that one
# "multiple" answers it completes in the order of a hash map.
#
# Versions: lapin 4.12.3 (features: tokio), tokio 1.54.1, RabbitMQ 4.3.6 of Debian unstable.
# seen: lapin 4.12.3, RabbitMQ 4.3.6: window 2: of 200 messages that reached the queue 4 have a
# confirm that brings a returned message, first that of message 40, which brings message 129; of 200
# that came back 4 have one that brings none
# The numbers differ from run to run.
#
# Needs root on Linux, mmdebstrap and cargo. Changes nothing outside a folder that it removes. Exits
# with 0 if it was seen, with 1 if never in 200 windows, with 2 if it could not look.
set -euo pipefail

if [ "${1:-}" != limited ]; then
    exec timeout --foreground --kill-after=20 570 "$BASH" "$0" limited
fi

fail() {
    echo "$*" >&2
    exit 2
}
[ "$(id -u)" = 0 ] || fail "run this as root: it makes a root folder for RabbitMQ"
for program in mmdebstrap unshare chroot cargo; do
    command -v "$program" >/dev/null || fail "$program is missing; install it first"
done

folder=$(mktemp -d)
leashed=()
cleanup() {
    trap - EXIT
    for process in "${leashed[@]}"; do
        kill -KILL "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    # What a killed leash held ends a moment later than the leash.
    for _ in {1..20}; do
        rm -rf --one-file-system "$folder" 2>/dev/null && return
        sleep 0.5
    done
    echo "could not remove $folder" >&2
}
trap cleanup EXIT
trap 'fail "cut off, or not done within 570 s"' TERM INT HUP

# Runs a program in namespaces that end, with all that it starts and mounts, when the leash does.
leash() {
    local log=$1
    shift
    unshare --mount --propagation private --pid --mount-proc --fork --kill-child "$@" \
        </dev/null >"$log" 2>&1 &
    leashed+=($!)
}
done_or_fail() { # the process, what it does, its log
    wait "$1" || { tail -n 20 "$3" >&2; fail "$2 failed"; }
}

# 1. RabbitMQ in a root folder of its own, while cargo builds the program.
chmod 711 "$folder" # apt downloads as a user of its own
root=$folder/root
mirror=
if command -v apt-get >/dev/null; then
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian //p' | sort -u | sed -n 1p)
fi
# A mirror that is some weeks behind does as well.
leash "$folder/mmdebstrap.log" mmdebstrap --variant=apt --include=rabbitmq-server \
    --aptopt='APT::Install-Recommends "false"' \
    --aptopt='Acquire::Check-Valid-Until "false"' sid "$root" ${mirror:+"$mirror"}
installing=$!

# 2. The program.
mkdir -p "$folder/program/src"
cat >"$folder/program/Cargo.toml" <<'TOML'
[package]
name = "returned"
version = "0.0.0"
edition = "2024"

[dependencies]
lapin = { version = "=4.12.3", default-features = false, features = ["tokio"] }
tokio = { version = "=1.54.1", features = ["macros", "rt-multi-thread", "time"] }

[profile.dev]
debug = false
TOML
cat >"$folder/program/src/main.rs" <<'RUST'
use std::{collections::BTreeSet, error::Error, process::ExitCode, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
};

type Outcome<T> = Result<T, Box<dyn Error>>;

const WINDOWS: u32 = 200;
/// In each window the even numbers go to a queue and the odd ones to none.
const MESSAGES: u32 = 400;

#[tokio::main]
async fn main() -> Outcome<ExitCode> {
    let limit = Duration::from_secs(120);
    Ok(tokio::time::timeout(limit, look()).await.map_err(|_| "not done within 120 s")??)
}

async fn look() -> Outcome<ExitCode> {
    let address = std::env::args().nth(1).ok_or("which broker?")?;
    let connection = Connection::connect(&address, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), options, Default::default()).await?;
    let queue = queue.name().as_str();
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    // One confirm at a time: each brings what its documentation says.
    for number in 0..100 {
        let came_back = publish(&channel, queue, number).await?.await?.take_message();
        let came_back = came_back.map(|message| message.delivery.data.clone());
        let expected = (number % 2 == 1).then(|| number.to_be_bytes().to_vec());
        if came_back != expected {
            return Err(format!("alone, message {number} brought {came_back:?}").into());
        }
    }
    channel.queue_purge(queue.into(), Default::default()).await?;

    for window in 1..=WINDOWS {
        let mut confirms = Vec::new();
        for number in 0..MESSAGES {
            confirms.push(publish(&channel, queue, number).await?);
        }
        let (mut reached_with, mut returned_without, mut first) = (0, 0, None);
        let mut all = BTreeSet::new();
        for (number, confirm) in (0..).zip(confirms) {
            let confirmation = confirm.await?;
            if !confirmation.is_ack() {
                return Err(format!("message {number} was refused").into());
            }
            match confirmation.take_message() {
                Some(message) => {
                    let body = message.delivery.data.as_slice().try_into()?;
                    let other = u32::from_be_bytes(body);
                    if !all.insert(other) {
                        return Err(format!("message {other} came back twice").into());
                    }
                    if number % 2 == 0 {
                        reached_with += 1;
                        first = first.or(Some((number, other)));
                    }
                }
                None => returned_without += number % 2,
            }
        }
        // The broker did its part: the odd ones came back, and the even ones are in the queue.
        if !all.into_iter().eq((1..MESSAGES).step_by(2)) {
            return Err("not exactly the messages without a queue came back".into());
        }
        let queued = channel.queue_purge(queue.into(), Default::default()).await?;
        if queued != MESSAGES / 2 {
            return Err(format!("the queue held {queued} messages").into());
        }
        if let Some((number, other)) = first {
            println!(
                "window {window}: of {queued} messages that reached the queue {reached_with} have \
                 a confirm that brings a returned message, first that of message {number}, which \
                 brings message {other}; of {} that came back {returned_without} have one that \
                 brings none",
                MESSAGES / 2
            );
            return Ok(ExitCode::SUCCESS);
        }
    }
    println!("never in {WINDOWS} windows of {MESSAGES} messages");
    Ok(ExitCode::FAILURE)
}

async fn publish(channel: &Channel, queue: &str, number: u32) -> lapin::Result<PublisherConfirm> {
    let key = if number % 2 == 0 { queue } else { "a-queue-that-is-not-there" };
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let body = number.to_be_bytes();
    channel.basic_publish("".into(), key.into(), options, &body, BasicProperties::default()).await
}
RUST
leash "$folder/cargo.log" env CARGO_TARGET_DIR="$folder/target" \
    cargo build --quiet --manifest-path "$folder/program/Cargo.toml"
building=$!

# 3. The broker, on free ports of the loopback interface.
done_or_fail "$installing" "installing RabbitMQ" "$folder/mmdebstrap.log"
version=$(cd "$root/usr/lib/rabbitmq/lib" && echo rabbitmq_server-*)
version=${version#rabbitmq_server-}
echo "127.0.0.1 localhost" >"$root/etc/hosts" # the node looks its own name up
mkdir -p "$root/srv/home"
echo "[]." >"$root/srv/plugins"

ports=()
while [ "${#ports[@]}" -lt 3 ]; do
    port=$((20000 + RANDOM % 12000)) # below those that systems give to clients
    case " ${ports[*]} " in *" $port "*) continue ;; esac
    (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || ports+=("$port")
done
# shellcheck disable=SC2016
leash "$folder/broker.log" sh -c '
    mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"' "$root" \
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/srv/home \
    RABBITMQ_NODENAME=finding@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
    RABBITMQ_NODE_PORT="${ports[0]}" RABBITMQ_DIST_PORT="${ports[1]}" \
    ERL_EPMD_PORT="${ports[2]}" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
    RABBITMQ_MNESIA_BASE=/srv/data RABBITMQ_LOG_BASE=/srv/log RABBITMQ_LOGS=- \
    RABBITMQ_CONFIG_FILE=/srv/none RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_ENABLED_PLUGINS_FILE=/srv/plugins RABBITMQ_PID_FILE=/srv/pid \
    /usr/lib/rabbitmq/bin/rabbitmq-server
broker=$!
done_or_fail "$building" "building the program" "$folder/cargo.log"
until (: <>"/dev/tcp/127.0.0.1/${ports[0]}") 2>/dev/null; do
    kill -0 "$broker" 2>/dev/null || done_or_fail "$broker" "RabbitMQ" "$folder/broker.log"
    sleep 0.5
done

# 4. What it does.
leash "$folder/seen" "$folder/target/debug/returned" "amqp://127.0.0.1:${ports[0]}/%2f"
code=0
wait $! || code=$?
echo "lapin 4.12.3, RabbitMQ $version: $(tail -n 1 "$folder/seen")"
grep -qE '^(window|never) ' "$folder/seen" || exit 2
exit "$code"
