#!/usr/bin/env bash
# Where a new share group starts: at the end, until it has acknowledged its first record.
#
# Guarantee: none for what was sent before a worker waits for it. With
# share.auto.offset.reset=earliest the group gets everything that the topic still holds.
set -euo pipefail

TOPIC=kafka-share-start.invoices
LATE=kafka-share-start.archive # with the default
EARLY=kafka-share-start.billing
BROKER=(--bootstrap-server "$KAFKA_BOOTSTRAP_SERVERS")

remove() {
    kafka-share-groups.sh "${BROKER[@]}" --delete --group $LATE
    kafka-share-groups.sh "${BROKER[@]}" --delete --group $EARLY
    kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $EARLY \
        --delete-config share.auto.offset.reset
    kafka-topics.sh "${BROKER[@]}" --delete --topic $TOPIC
} >/dev/null 2>&1

remove_leftovers() { # a worker of a run that was cut off leaves after some seconds
    local end=$((SECONDS + 60))
    remove || true
    while kafka-share-groups.sh "${BROKER[@]}" --list 2>/dev/null | grep -x -e $LATE -e $EARLY; do
        ((SECONDS < end)) || { echo "still there after 60 s" >&2; exit 1; }
        remove || true
    done >&2
}

send() { # INVOICE...
    printf '%s\n' "$@" | kafka-console-producer.sh "${BROKER[@]}" --topic $TOPIC
}

read_all() { # WHAT GROUP: what comes until nothing has come for 6 s
    local records
    records=$(kafka-console-share-consumer.sh "${BROKER[@]}" --topic $TOPIC --group "$2" \
        --timeout-ms 6000 2>/dev/null | paste -sd ' ') || true
    echo "$1: ${records:-nothing}"
}

remove_leftovers
trap 'remove || true' EXIT
kafka-topics.sh "${BROKER[@]}" --create --topic $TOPIC --partitions 1 >/dev/null 2>&1

send "invoice 1" "invoice 2"
read_all "archive, a new group" $LATE
send "invoice 3"
read_all "archive, started again after invoice 3 was sent" $LATE

kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $EARLY \
    --add-config share.auto.offset.reset=earliest >/dev/null 2>&1
read_all "billing, a new group with earliest" $EARLY

kafka-share-groups.sh "${BROKER[@]}" --reset-offsets --to-earliest --execute \
    --group $LATE --topic $TOPIC >/dev/null 2>&1
read_all "archive, set to the beginning" $LATE
send "invoice 4"
read_all "archive, started again after invoice 4 was sent" $LATE
