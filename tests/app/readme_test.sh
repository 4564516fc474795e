#!/bin/sh
# Runs every sh block of README.md in a scratch folder: readme_test.sh SOURCE_DIR FOLDER_OF_MLSIM [MLSIM_TRAIN]
# Training is cut to two steps of a small network on black images; without MLSIM_TRAIN it is left out.
set -eu
source_dir=$1
PATH="$2:$PATH"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir -p tests trainer build/release/trainer
for folder in workloads sim tests/workloads trainer/recipes; do ln -s "$source_dir/$folder" "$folder"; done
# What would install packages and fetch CIFAR-10.
echo 'exit 0' >quickstart
cat >trainer/fetch-cifar10 <<'END'
mkdir -p data/cifar-10-batches-bin
for batch in data_batch_1 data_batch_2 data_batch_3 data_batch_4 data_batch_5 test_batch; do
  truncate -s 30730000 "data/cifar-10-batches-bin/$batch.bin"
done
END
if [ $# -gt 2 ]; then
  echo "exec '$3' \"\$@\" --model resnet8 --batch 16 --steps 2" >build/release/trainer/mlsim-train
else
  echo 'mkdir -p out; : >out/e2m1.jsonl' >build/release/trainer/mlsim-train
fi
chmod +x quickstart trainer/fetch-cifar10 build/release/trainer/mlsim-train
find . >before
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$source_dir/README.md" >commands
grep -q mlsim commands
set -x
# One shell, since a later block uses an earlier one's variables and files.
. ./commands
set +x
# What git does not ignore is as it was.
ignored=$(sed -n 's|^/\(.*\)/$|-path ./\1 -prune -o|p' "$source_dir/.gitignore")
# shellcheck disable=SC2086
left=$(find . $ignored -print | grep -vxFf before | grep -vxF -e ./commands || true)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
[ -s out/report.html ] && [ -e out/e2m1.jsonl ]
