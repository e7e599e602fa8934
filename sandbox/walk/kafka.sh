#!/usr/bin/env bash
# The walk of the page "Break it yourself": the leader of a topic is killed while the two others live.
# It takes the usual ports. What it prints is in kafka.txt, with the project's folder as ~/guide.
#
# Run: `bash sandbox/walk/kafka.sh > sandbox/walk/kafka.txt`
set -euo pipefail
cd "$(dirname "$0")/../.."
ROOT=$PWD

show() { # COMMAND: as a reader types it, then what it prints
    echo "\$ $1"
    eval "$1" 2>&1 | sed "s|$ROOT|~/guide|g" || true # `status` fails while a node is down
    echo
}
sandbox() { cargo run -q --bin sandbox -- "$@"; }
trap 'sandbox down kafka 2>/dev/null' EXIT

BROKER='--bootstrap-server $KAFKA_BOOTSTRAP_SERVERS'
describe() { eval "kafka-topics.sh $BROKER --describe --topic orders" 2>/dev/null; }
await_in_sync() { # COUNT
    local end=$((SECONDS + 60)) in_sync=
    until ((${#in_sync} == $1)); do
        ((SECONDS < end)) || { echo "not $1 in sync within 60 s" >&2; exit 1; }
        in_sync=$(describe | sed -n 's/.*Isr: \([0-9,]*\).*/\1/p' | tr -d ,)
    done
}

show 'cargo run -q --bin sandbox -- up --nodes 3 kafka'
eval "$(sandbox up --nodes 3 kafka 2>/dev/null)"
show "kafka-topics.sh $BROKER --create --topic orders --replication-factor 3 --config min.insync.replicas=2"
await_in_sync 3
show "kafka-topics.sh $BROKER --describe --topic orders"
show 'cargo run -q --bin sandbox -- status kafka'
show "echo 'order 1' | kafka-console-producer.sh $BROKER --topic orders"
LEADER=$(describe | sed -n 's/.*Leader: \([0-9]\).*/\1/p')
PID=$(sandbox status kafka | awk -v node="$LEADER" '$1 == "node" && $2 == node { print $NF }')
show "kill -9 $PID # the leader, node $LEADER"
show "time -p (echo 'order 2' | kafka-console-producer.sh $BROKER --topic orders)"
await_in_sync 2
show "kafka-topics.sh $BROKER --describe --topic orders"
show "kafka-console-consumer.sh $BROKER --topic orders --from-beginning --max-messages 2"
show 'cargo run -q --bin sandbox -- status kafka'
show 'cargo run -q --bin sandbox -- up --nodes 3 kafka'
await_in_sync 3
show "kafka-topics.sh $BROKER --describe --topic orders"
