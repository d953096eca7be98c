#!/usr/bin/env bash
# Run as many experiments as fit into a time limit, in order of worth; what was cut short is resumed next time.
#
#   scripts/until.sh 1500 mnist_conv_ae mnist_dense_ae mnist_sparse_ae mnist_adversarial_ae -- seed=0 device=cuda
#
# The first number is the limit in seconds. Finished tables are written to $RESULTS (default: results/).
set -euo pipefail
limit=${1:?usage: scripts/until.sh SECONDS EXPERIMENT... [-- SETTING=VALUE...]}
shift
experiments=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do experiments+=("$1"); shift; done
[ $# -gt 0 ] && shift
for experiment in "${experiments[@]}"; do
  left=$((limit - SECONDS))
  if [ "$left" -lt 30 ]; then echo "no time left for $experiment"; continue; fi
  timeout --signal=INT "$left" uae run experiment="$experiment" "$@" || echo "$experiment: stopped; run again to go on"
done
results=${RESULTS:-results}
mkdir -p "$results"
uae table 4 --format markdown --out "$results/table4.md"
uae table 4 --format csv --out "$results/table4.csv"
