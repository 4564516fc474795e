#!/bin/sh
# Writes the results beside this script: run.sh [MLSIM], by default build/release/app/mlsim.
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
out=results/shipped-trace
trace=workloads/traces/resnet20-cifar10-e2m4/workload.json
for format in e2m4 e2m1; do
  "$mlsim" simulate "$trace" --format "$format" --engine cycle --results "$out/$format.json"
done
"$mlsim" report "$out/e2m4.json" "$out/e2m1.json" --detail --out "$out/report.txt"
"$mlsim" report "$out/e2m4.json" "$out/e2m1.json" --format csv --out "$out/layers.csv"
