#!/usr/bin/env bash
# Where a new share group starts: at the end, unless the group's setting says earliest.
#
# Guarantee: none for what was sent before the group's first member had its partitions. With
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

send() { # INVOICE...
    printf '%s\n' "$@" | kafka-console-producer.sh "${BROKER[@]}" --topic $TOPIC
}

read_all() { # GROUP: what comes until nothing has come for 6 s
    kafka-console-share-consumer.sh "${BROKER[@]}" --topic $TOPIC --group "$1" \
        --timeout-ms 6000 2>/dev/null | sed 's/^/  /' || true
}

remove || true # what an earlier run left
trap 'remove || true' EXIT
kafka-topics.sh "${BROKER[@]}" --create --topic $TOPIC --partitions 1 >/dev/null 2>&1

send "invoice 1" "invoice 2"
echo "archive, a new group:"
read_all $LATE
send "invoice 3"
echo "archive, after invoice 3 was sent:"
read_all $LATE

kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $EARLY \
    --add-config share.auto.offset.reset=earliest >/dev/null 2>&1
echo "billing, a new group with earliest:"
read_all $EARLY

kafka-share-groups.sh "${BROKER[@]}" --reset-offsets --to-earliest --execute \
    --group $LATE --topic $TOPIC >/dev/null 2>&1
echo "archive, set back to the beginning:"
read_all $LATE
