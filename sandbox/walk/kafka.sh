#!/usr/bin/env bash
# The walk of the page "Break it yourself": the leader of a topic is killed while the two others live.
#
# Run: `bash sandbox/walk/kafka.sh`; it takes the usual ports. What it printed is in kafka.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."

sandbox() { cargo run -q --bin sandbox -- "$@" 2>/dev/null; }
show() { # COMMAND...: as a reader types it, then what it prints
    echo "\$ $*"
    "$@" 2>/dev/null
    echo
}
trap 'sandbox down kafka' EXIT

eval "$(sandbox up --nodes 3 kafka)"
BROKER=(--bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS")
TOPIC=orders

topic() { kafka-topics.sh "${BROKER[@]}" "$@" --topic $TOPIC; }
leader() { topic --describe 2>/dev/null | sed -n 's/.*Leader: \([0-9]\).*/\1/p'; }
process_of() { sandbox status kafka | awk -v node="$1" '$1 == "node" && $2 == node { print $NF }'; }
await_in_sync() { # COUNT
    local end=$((SECONDS + 60))
    until [[ $(topic --describe 2>/dev/null | sed -n 's/.*Isr: \([0-9,]*\).*/\1/p' | tr -d ,) =~ ^.{$1}$ ]]; do
        ((SECONDS < end)) || { echo "not $1 in sync within 60 s" >&2; exit 1; }
    done
}

show topic --create --partitions 1 --replication-factor 3 --config min.insync.replicas=2
await_in_sync 3
show topic --describe
show sandbox status kafka
echo '$ echo "order 1" | send'
echo "order 1" | kafka-console-producer.sh "${BROKER[@]}" --topic $TOPIC
echo
LEADER=$(leader)
PID=$(process_of "$LEADER")
echo "# node $LEADER leads: its process is $PID"
show kill -9 "$PID"
echo '$ echo "order 2" | send'
START=$SECONDS
echo "order 2" | kafka-console-producer.sh "${BROKER[@]}" --topic $TOPIC
echo "# taken after $((SECONDS - START)) s"
echo
show topic --describe
show sandbox status kafka || true # one node has ended
show kafka-console-consumer.sh "${BROKER[@]}" --topic $TOPIC --from-beginning --max-messages 2
show sandbox up --nodes 3 kafka
await_in_sync 3
show topic --describe
