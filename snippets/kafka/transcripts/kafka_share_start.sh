#!/usr/bin/env bash
# Where a new share group starts: at the end, until it has acknowledged its first record.
#
# Guarantee: none for what was sent before a worker waits for it. With
# share.auto.offset.reset=earliest the group gets everything that the topic still holds.
#
# Run: `bash snippets/kafka/transcripts/kafka_share_start.sh`
set -euo pipefail

TOPIC=kafka-share-start.invoices
LATE=kafka-share-start.archive # with the default
EARLY=kafka-share-start.billing
BROKER=(--bootstrap-server "${KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}")
timeout 20 kafka-topics.sh "${BROKER[@]}" --list >/dev/null 2>&1 || {
    echo "cannot use Kafka at ${BROKER[1]}; to start one: docker compose up -d --wait," \
        "or cargo run --bin sandbox -- up" >&2
    exit 1
}

remove() {
    kafka-share-groups.sh "${BROKER[@]}" --delete --group $LATE
    kafka-share-groups.sh "${BROKER[@]}" --delete --group $EARLY
    kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $EARLY \
        --delete-config share.auto.offset.reset
    kafka-topics.sh "${BROKER[@]}" --delete --topic "${TOPIC//./\\.}" # a regular expression
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

worker() { # WHAT GROUP OPTION...: acknowledges what comes
    local records
    records=$(kafka-console-share-consumer.sh "${BROKER[@]}" --topic $TOPIC --group "$2" \
        "${@:3}" 2>/dev/null | paste -sd ' ')
    echo "$1: ${records:-nothing}"
}

remove_leftovers
trap 'remove || true' EXIT
kafka-topics.sh "${BROKER[@]}" --create --topic $TOPIC --partitions 1 >/dev/null 2>&1

# ANCHOR: session
send "invoice 1" "invoice 2"
worker "archive, a new group" $LATE --timeout-ms 10000
send "invoice 3"
worker "archive, started again after invoice 3 was sent" $LATE --timeout-ms 10000

kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $EARLY \
    --add-config share.auto.offset.reset=earliest >/dev/null 2>&1
worker "billing, a new group with earliest" $EARLY --max-messages 3 --timeout-ms 30000

kafka-share-groups.sh "${BROKER[@]}" --reset-offsets --to-earliest --execute \
    --group $LATE --topic $TOPIC >/dev/null 2>&1
worker "archive, set to the beginning" $LATE --max-messages 3 --timeout-ms 30000
send "invoice 4"
worker "archive, started again after invoice 4 was sent" $LATE \
    --max-messages 1 --timeout-ms 30000
# ANCHOR_END: session
