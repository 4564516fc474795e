#!/bin/sh
# Writes the tables beside this script: run.sh [FOLDER OF THE BUILD], by default build/release. Takes half an hour.
set -eu
cd "$(dirname "$0")/../.."
build=${1-build/release}
bench=$build/bench
out=results/performance

{
  for set in 3x3 1x1 depthwise; do "$bench/ratios" --set $set --pass all --rounds 9; done
  "$bench/ratios" --set linear --pass all
} | tee $out/ratios.txt
"$bench/ratios" --set blocks --pass all --rounds 3 | tee $out/ratios-blocks.txt
for set in 3x3 1x1 depthwise; do "$bench/ratios" --set $set --instructions AVX2; done | tee $out/ratios-avx2.txt
{
  "$bench/step" resnet20 --batch 128 --against-onednn
  "$bench/step" resnet50 --batch 8 --against-onednn
} | awk 'NR == 1 || !/^network/' | tee $out/ratios-steps.txt
for step in "resnet20 --batch 128" "resnet18 --batch 8" "resnet18 --batch 1" "mobilenetv2 --batch 8"; do
  # Word splitting is meant.
  # shellcheck disable=SC2086
  "$bench/step" $step
done | awk 'NR == 1 || !/^network/' | tee $out/steps.txt
"$bench/blocks" 3 | tee $out/blocks.txt
python3 $out/command.py "$build/app/mlsim" | tee $out/command.txt

# Medians of five: name, time and its unit, rate, what.
medians() {
  "$@" --benchmark_min_time=0.1 --benchmark_repetitions=5 --benchmark_report_aggregates_only=true 2>/dev/null |
    awk '/_median/ { sub(/_median/, "", $1); sub(/.*=/, "", $7); print $1, $2, $3, $7, (NF > 7 ? $NF : "") }'
}
medians "$bench/functional_bench" --benchmark_filter='peak|dot_kernel|quantizer|reference|direct|grow' |
  awk '{ printf "%-28s %9s %s %12s %s\n", $1, $2, $3, $4, $5 }' | tee $out/growth.txt
for engine in cycle structural; do
  for size in 4 8 16 32; do
    medians "$bench/${engine}_bench" --array=$size | awk -v name="$engine $size x $size" '
      { printf "%-20s %-16s %12s cycles\n", name, $5, $4 }'
  done
done | tee $out/arrays.txt
