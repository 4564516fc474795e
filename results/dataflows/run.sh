#!/bin/sh
# Writes table.md beside this script: run.sh [MLSIM], by default build/release/app/mlsim. Needs python3.
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
out=results/dataflows
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for format in e2m4/none e2m4 nvfp4; do
  cat >"$work/workload.json" <<END
{ "schema": "mlsim.workload/1", "name": "resnet50", "seed": 1, "batch": 1, "layers": "resnet50", "format": "$format" }
END
  for dataflow in output-stationary weight-stationary; do
    "$mlsim" simulate "$work/workload.json" --engine analytic --array "$out/$dataflow.json" \
      --results "$work/$dataflow.$(printf '%s' "$format" | tr / -).json"
  done
done
python3 "$out/table.py" "$work" workloads/networks/resnet50.json "$out/table.md"
