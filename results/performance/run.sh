#!/bin/sh
# Writes ratios.txt beside this script: run.sh [FOLDER OF THE BENCHMARKS], by default build/release/bench.
set -eu
cd "$(dirname "$0")/../.."
"${1-build/release/bench}/ratios" 5 | tee results/performance/ratios.txt
