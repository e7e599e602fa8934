#!/usr/bin/env bash
# A job that a worker gives back comes again; one that it rejects, or that came too often, goes to
# a dead letter topic.
#
# Guarantee: a job that is not acknowledged comes again until share.delivery.count.limit, then it
# is a dead letter. Holds from Kafka 4.4 on and with the settings below; before, and without them,
# such a job is dropped.
#
# Run: `bash snippets/kafka/transcripts/kafka_share_release.sh`
set -euo pipefail

TOPIC=kafka-share-release.jobs
DEAD=dlq.kafka-share-release.jobs # the beginning of the name is prescribed
GROUP=kafka-share-release.workers
BROKER=(--bootstrap-server "${KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}")
timeout 20 kafka-topics.sh "${BROKER[@]}" --list >/dev/null 2>&1 || {
    echo "cannot use Kafka at ${BROKER[1]}; to start one: docker compose up -d --wait," \
        "or cargo run --bin sandbox -- up" >&2
    exit 1
}
GROUP_SETTINGS=share.auto.offset.reset=earliest,share.delivery.count.limit=2
GROUP_SETTINGS+=,errors.deadletterqueue.topic.name=$DEAD
GROUP_SETTINGS+=,errors.deadletterqueue.copy.record.enable=true

remove() {
    kafka-share-groups.sh "${BROKER[@]}" --delete --group $GROUP
    kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $GROUP \
        --delete-config "$(sed 's/=[^,]*//g' <<<"$GROUP_SETTINGS")"
    kafka-topics.sh "${BROKER[@]}" --delete --topic "${TOPIC//./\\.}" # a regular expression
    kafka-topics.sh "${BROKER[@]}" --delete --topic "${DEAD//./\\.}"
} >/dev/null 2>&1

remove_leftovers() { # a worker of a run that was cut off leaves after some seconds
    local end=$((SECONDS + 60))
    remove || true
    while kafka-share-groups.sh "${BROKER[@]}" --list 2>/dev/null | grep -x $GROUP; do
        ((SECONDS < end)) || { echo "still there after 60 s" >&2; exit 1; }
        remove || true
    done >&2
}

prepare() {
    kafka-topics.sh "${BROKER[@]}" --create --topic $TOPIC --partitions 1
    kafka-topics.sh "${BROKER[@]}" --create --topic $DEAD --partitions 1
    kafka-configs.sh "${BROKER[@]}" --alter --entity-type topics --entity-name $DEAD \
        --add-config errors.deadletterqueue.group.enable=true
    kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $GROUP \
        --add-config "$GROUP_SETTINGS"
} >/dev/null 2>&1

send() { # JOB...
    printf '%s\n' "$@" | kafka-console-producer.sh "${BROKER[@]}" --topic $TOPIC
}

worker() { # WHAT OPTION...: takes one job, does this with it and ends
    local job
    job=$(kafka-console-share-consumer.sh "${BROKER[@]}" --topic $TOPIC --group $GROUP \
        --max-messages 1 --timeout-ms 30000 --formatter-property print.delivery=true \
        "${@:2}" 2>/dev/null)
    echo "$1: ${job:-no job within 30 s}"
}

dead_letters() { # FIRST COUNT
    kafka-console-consumer.sh "${BROKER[@]}" --topic $DEAD --partition 0 --offset "$1" \
        --max-messages "$2" --timeout-ms 20000 --formatter-property print.headers=true \
        --formatter-property headers.separator=$'\n  ' \
        --formatter-property key.separator=$'\n  ' 2>/dev/null
}

remove_leftovers
trap 'remove || true' EXIT
prepare

# ANCHOR: session
send "job 1"
worker "released" --release
worker "accepted"
send "job 2"
worker "rejected" --reject
send "job 3" # and job 2 does not come again
worker "released" --release
worker "released" --release
send "job 4" # nor does job 3 come a third time
worker "accepted"

echo "dead letters"
dead_letters 0 2

ONE=(--command-property max.poll.records=1)
echo "each worker wants one job, fetches the whole batch, and ends"
send "job 5" "job 6" "job 7"
worker "accepted" "${ONE[@]}"
worker "accepted" "${ONE[@]}"
echo "a dead letter that no worker has seen"
dead_letters 2 1

ONE+=(--command-property share.acquire.mode=record_limit)
echo "each worker fetches one job"
send "job 8" "job 9"
worker "accepted" "${ONE[@]}"
worker "accepted" "${ONE[@]}"
# ANCHOR_END: session
