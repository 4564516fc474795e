#!/bin/sh
# Writes table.md, figures.json and the pictures beside this script: run.sh [MLSIM], by default build/release/app/mlsim.
# Needs python3 and gnuplot. Accuracies are read from metrics/, which training wrote (README.md).
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
out=results/formats
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
formats=$(python3 "$out/table.py" formats)
workload() {
  printf '{ "schema": "mlsim.workload/1", "name": "%s", "seed": 1, "format": "e2m4", "batch": %s, "values": {}, "layers": "%s" }\n' \
    "$1" "$2" "$1" >"$work/$1-$2.json"
}
# Errors: of a step of real training, and of synthetic values of one image.
"$mlsim" sweep workloads/traces/resnet20-cifar10-e2m4/workload.json --formats "$formats" --out "$work/trace.json" >"$work/log"
for network in resnet18 resnet50 mobilenetv2; do
  workload "$network" 1
  "$mlsim" sweep "$work/$network-1.json" --formats "$formats" --out "$work/$network-errors.json" >"$work/log"
done
# Energy, cycles and area: of a step of 128 small images, or of 32 large ones.
workload resnet20 128
for network in resnet18 resnet50 mobilenetv2; do workload "$network" 32; done
for network in resnet20-128 resnet18-32 resnet50-32 mobilenetv2-32; do
  "$mlsim" sweep "$work/$network.json" --engine analytic --formats "$formats" --out "$work/${network%-*}-prices.json" >"$work/log"
done
python3 "$out/table.py" write "$work" "$out"
gnuplot -e "points='$work/errors.points'; front='$work/errors.front'; output='$out/error-energy.svg'; ylabel='mean SQNR of the three passes, dB (trace of ResNet-20)'" "$out/picture.gp"
if [ -s "$work/accuracy.points" ]; then
  gnuplot -e "points='$work/accuracy.points'; front='$work/accuracy.front'; output='$out/accuracy-energy.svg'; ylabel='test accuracy after 60 epochs, %'" "$out/picture.gp"
fi
