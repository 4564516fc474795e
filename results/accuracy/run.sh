#!/bin/sh
# Writes ablation.md and the pictures from metrics/ and mlsim's energies: run.sh [MLSIM], by default
# build/release/app/mlsim. Needs python3 and gnuplot.
set -eu
cd "$(dirname "$0")/../.."
mlsim=${1-build/release/app/mlsim}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/resnet20.json" <<'END'
{ "schema": "mlsim.workload/1", "name": "resnet20", "seed": 1, "format": "e2m4", "batch": 128, "layers": "resnet20" }
END
formats=$(python3 results/accuracy/ablation.py formats)
"$mlsim" sweep "$work/resnet20.json" --engine analytic --formats "$formats" --out "$work/sweep.json" >"$work/log"
python3 results/accuracy/ablation.py table results/accuracy/metrics "$work/sweep.json" "$work/points" >results/accuracy/ablation.md
gnuplot -e "points='$work/points'; output='results/accuracy/accuracy-energy.svg'" results/accuracy/accuracy-energy.gp
cd results/accuracy/metrics
plot=../../../trainer/plot-curves
"$plot" -t "ResNet-20 on CIFAR-10" ../curves.svg fp32-seed?.jsonl e2m4-seed?.jsonl e2m1-seed?.jsonl
"$plot" -t "ResNet-20 on CIFAR-10" ../curves-120-epochs.svg fp32-120-epochs-seed?.jsonl e2m1-120-epochs-seed?.jsonl
"$plot" -t "ResNet-20 on CIFAR-10" ../curves-200-epochs.svg fp32-200-epochs-seed?.jsonl e2m1-200-epochs-seed?.jsonl
"$plot" -t "ResNet-18 on CIFAR-10" ../curves-resnet18.svg resnet18-fp32-seed1.jsonl resnet18-e2m4-seed1.jsonl
