#!/bin/sh
# Writes table.md and figures.json beside this script: run.sh [MLSIM], by default build/release/app/mlsim. Needs python3.
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
out=results/headline
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for network in resnet18-3x3-stem resnet18 resnet20; do
  printf '{ "schema": "mlsim.workload/1", "name": "%s", "seed": 1, "format": "e2m4", "batch": 1, "layers": "%s" }\n' \
    "$network" "$network" >"$work/$network.json"
  for format in e2m4 e2m1; do
    "$mlsim" simulate "$work/$network.json" --engine analytic --format "$format" --results "$work/results.json"
    "$mlsim" report "$work/results.json" --step "$network" --format json --out "$work/$network.$format.json"
  done
done
python3 "$out/table.py" "$work" "$out"
