#!/usr/bin/env bash
# Two members and one partition: in a share group both get jobs, in a consumer group one waits.
#
# Guarantee: at least once. A job is with one member at a time and comes back if that member does
# not acknowledge it. Holds for share groups, so from Kafka 4.2 on; order is not kept.
#
# Run: `bash snippets/kafka/transcripts/kafka_share_queue.sh`
set -euo pipefail

TOPIC=kafka-share-queue.jobs
GROUP=kafka-share-queue.readers
SHARE=kafka-share-queue.workers
EXACTLY='kafka-share-queue\.jobs' # kafka-topics.sh takes a regular expression: a bare dot fits any character
BROKER=(--bootstrap-server "${KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}")
timeout 20 kafka-topics.sh "${BROKER[@]}" --list >/dev/null 2>&1 || {
    echo "cannot use Kafka at ${BROKER[1]}; to start one: docker compose up -d --wait," \
        "or cargo run --bin sandbox -- up" >&2
    exit 1
}
JOBS=$(mktemp -d)
MEMBERS=()

wait_for() { # WHAT COMMAND...: until the command succeeds
    local what=$1 end=$((SECONDS + 90))
    shift
    until "$@"; do
        ((SECONDS < end)) || { echo "not within 90 s: $what" >&2; exit 1; }
        sleep 0.2
    done
}

remove() {
    kafka-consumer-groups.sh "${BROKER[@]}" --delete --group $GROUP
    kafka-share-groups.sh "${BROKER[@]}" --delete --group $SHARE
    kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $SHARE \
        --delete-config share.auto.offset.reset
    kafka-topics.sh "${BROKER[@]}" --delete --topic "$EXACTLY"
} >/dev/null 2>&1

removed() { # a member of a run that was cut off leaves after 60 s
    remove || true
    ! {
        kafka-consumer-groups.sh "${BROKER[@]}" --list
        kafka-share-groups.sh "${BROKER[@]}" --list
    } 2>/dev/null | grep -Fx -e $GROUP -e $SHARE >/dev/null
}

stop_members() {
    kill "${MEMBERS[@]}" 2>/dev/null || true
    wait
    MEMBERS=()
}

members_of() { # TOOL GROUP: how many partitions each member has
    "$1" "${BROKER[@]}" --describe --group "$2" --members 2>/dev/null |
        awk -v group="$2" '$1 == group { print "a member has partitions: " $5 }' | sort -r
}

two_in_group() { [[ $(members_of kafka-consumer-groups.sh $GROUP | wc -l) == 2 ]]; }
two_sharing() { [[ $(members_of kafka-share-groups.sh $SHARE | grep -c ": 1") == 2 ]]; }
all_done() { [[ $(sort -u "$JOBS"/* | wc -l) -ge 100 ]]; }

trap 'stop_members; remove || true; rm -r "$JOBS"' EXIT
wait_for "removal of what an earlier run left" removed
kafka-topics.sh "${BROKER[@]}" --create --topic $TOPIC --partitions 1 >/dev/null 2>&1
kafka-configs.sh "${BROKER[@]}" --alter --entity-type groups --entity-name $SHARE \
    --add-config share.auto.offset.reset=earliest >/dev/null 2>&1 # the end is the default

# ANCHOR: session
echo "two members of a consumer group"
for _ in 1 2; do
    kafka-console-consumer.sh "${BROKER[@]}" --topic $TOPIC --group $GROUP \
        --timeout-ms 50000 >/dev/null 2>&1 &
    MEMBERS+=($!)
done
wait_for "two members in $GROUP" two_in_group
members_of kafka-consumer-groups.sh $GROUP
stop_members

echo "two members of a share group"
for n in 1 2; do
    kafka-console-share-consumer.sh "${BROKER[@]}" --topic $TOPIC --group $SHARE \
        --command-property max.poll.records=5 \
        --timeout-ms 50000 >"$JOBS/member-$n" 2>/dev/null &
    MEMBERS+=($!)
done
wait_for "two members with a partition in $SHARE" two_sharing
members_of kafka-share-groups.sh $SHARE

seq -f 'job %.0f' 100 | # one record to a batch: a batch goes to one member
    kafka-console-producer.sh "${BROKER[@]}" --topic $TOPIC --batch-size 1
wait_for "100 jobs done" all_done
echo "members that got jobs: $(find "$JOBS" -type f -size +0 | wc -l)"
echo "different jobs done: $(sort -u "$JOBS"/* | wc -l)"
echo "done twice: $(sort "$JOBS"/* | uniq -d | wc -l)"
# ANCHOR_END: session
