#!/bin/sh
# Writes table.md, figures.json and energy.svg beside this script: run.sh [MLSIM], by default build/release/app/mlsim.
# Needs python3.
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
out=results/pointwise
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Grouping of activation, weight and error.
variants="nc-nc-nc n-n-n c-c-c none-none-none n-none-n"
printf '{}' >"$work/eight.json"
printf '{ "elements_per_scaler": 1 }' >"$work/one.json"
printf '{ "elements_per_scaler": "all" }' >"$work/all.json"
for network in resnet18 resnet50 mobilenetv2; do
  for variant in $variants; do
    activation=${variant%%-*}
    error=${variant##*-}
    weight=${variant#*-}
    weight=${weight%-*}
    cat >"$work/workload.json" <<END
{ "schema": "mlsim.workload/1", "name": "$network", "seed": 1, "batch": 8, "layers": "$network",
  "format": { "activation": "e2m4/g8m1/$activation", "weight": "e2m4/g8m1/$weight", "error": "e2m4/g8m1/$error" } }
END
    for sharing in one eight all; do
      "$mlsim" simulate "$work/workload.json" --engine analytic --array "$work/$sharing.json" --results "$work/results.json"
      "$mlsim" report "$work/results.json" --step "$network" --format json --out "$work/$network.$variant.$sharing.json"
    done
  done
done
# What a grouping costs in error, on real tensors (of 3×3 layers).
formats=
for variant in $variants; do
  formats="$formats${formats:+,}$(printf '%s' "e2m4/g8m1/$variant" | sed 's|-|+e2m4/g8m1/|g')"
done
"$mlsim" sweep workloads/traces/resnet20-cifar10-e2m4/workload.json --formats "$formats" --out "$work/errors.json" >"$work/errors.txt"
python3 "$out/table.py" "$work" workloads/networks "$out" "$variants"
