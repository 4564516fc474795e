#!/bin/sh
# Writes the tables beside this script: run.sh [FOLDER OF THE BENCHMARKS], by default build/release/bench.
set -eu
cd "$(dirname "$0")/../.."
bench=${1-build/release/bench}
out=results/performance
"$bench/ratios" 5 | tee $out/ratios.txt
for step in "resnet20 128" "resnet18 8" "resnet18 1" "mobilenetv2 8"; do
  # Word splitting is meant.
  # shellcheck disable=SC2086
  "$bench/step" $step
done | awk 'NR == 1 || !/^network/' | tee $out/steps.txt
"$bench/functional_bench" --benchmark_min_time=0.2 --benchmark_filter='peak|dot_kernel|quantizer|reference|grow' |
  grep -E '^(Benchmark|peak|dot_kernel|quantizer|reference|grow)' | tee $out/growth.txt
for engine in cycle structural; do
  for size in 4 8 16 32; do
    "$bench/${engine}_bench" --array=$size --benchmark_min_time=0.2 | sed -n "s|^simulate/|$engine, $size x $size, |p"
  done
done | tee $out/arrays.txt
