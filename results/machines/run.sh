#!/bin/sh
# Writes table.md, figures.json and machines.svg beside this script: run.sh [MLSIM], by default
# build/release/app/mlsim. Needs python3 and gnuplot. Machines, networks and formats are listed in table.py.
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
out=results/machines
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A line for each run: its name, the array's file, network, batch and format.
python3 "$out/table.py" runs "$work" >"$work/runs"
while read -r name array network batch format; do
  "$mlsim" simulate "$network" --engine analytic --batch "$batch" --format "$format" --array "$array" \
    --results "$work/$name.results.json" --quiet
  "$mlsim" report "$work/$name.results.json" --step "$network" --format json --out "$work/$name.json" --quiet
  rm "$work/$name.results.json"
done <"$work/runs"
python3 "$out/table.py" write "$work" "$out"
gnuplot -e "points='$work/machines.points'; output='$out/machines.svg'" "$out/picture.gp"
