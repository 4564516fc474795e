#!/bin/sh
# Runs every sh block of README.md in a scratch folder: readme_test.sh SOURCE_DIR FOLDER_OF_MLSIM
set -eu
source_dir=$1
PATH="$2:$PATH"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/tests"
for folder in workloads sim tests/workloads; do ln -s "$source_dir/$folder" "$scratch/$folder"; done
awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$source_dir/README.md" >"$scratch/commands"
grep -q mlsim "$scratch/commands"
cd "$scratch"
set -x
# One shell, since a later block uses an earlier one's variables and files.
. ./commands
