#!/usr/bin/env bash
# Asks a cluster which of its nodes is the controller.
#
# Guarantee: none; it is what the quorum knows at this moment.
#
# Run: `bash snippets/kafka/transcripts/kafka_controller.sh`
set -euo pipefail
brokers="${KAFKA_BOOTSTRAP_SERVERS:-localhost:9092}"

kafka-metadata-quorum.sh --bootstrap-server "$brokers" describe --status |
    grep -E '^(LeaderId|LeaderEpoch|MaxFollowerLag):' |
    sed -E 's/[[:space:]]+/ /'
