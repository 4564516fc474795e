#!/bin/sh
# Installs into a folder, moves that, and builds and runs a program of another project with it:
# install_test.sh CMAKE BUILD_FOLDER COMPILER VERSION PYTHON
set -eu
cmake=$1
build=$2
compiler=$3
version=$4
python=$5
consumer=$(cd "$(dirname "$0")/consumer" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$cmake" --install "$build" --prefix "$scratch/first" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
mv "$scratch/first" "$scratch/prefix"
prefix=$scratch/prefix

# Programs say their version, and the files that users start from are beside them.
[ "$("$prefix/bin/mlsim" --version)" = "mlsim $version" ]
[ ! -e "$prefix/bin/mlsim-train" ] || [ "$("$prefix/bin/mlsim-train" --version)" = "mlsim-train $version" ]
"$prefix/bin/mlsim" counts "$prefix/share/mlsim/workloads/networks/resnet20.json" >/dev/null
"$prefix/bin/mlsim" simulate "$prefix/share/mlsim/workloads/examples/small.json" \
  --array "$prefix/share/mlsim/sim/configs/edge-8x8.json" --table "$prefix/share/mlsim/energy/tables/horowitz-45nm.json" \
  >/dev/null

# So is the Python package, where it is built. Its Python may not be the first in PATH.
for package in "$prefix"/lib/python*/*-packages/mlsim; do
  if [ -d "$package" ]; then
    [ "$(PYTHONPATH=$(dirname "$package") PYTHONDONTWRITEBYTECODE=1 "$python" -c 'import mlsim; print(mlsim.__version__)')" = "$version" ]
  fi
done

# Every header that is installed is whole.
(cd "$prefix/include/mlsim" && find . -name '*.h' | sort | sed 's|^\./\(.*\)|#include "\1"|') >"$scratch/headers.inc"
grep -q models/quantizer/quantizer.h "$scratch/headers.inc"

"$cmake" -G Ninja -S "$consumer" -B "$scratch/consumer" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$compiler" \
  -DHEADERS="$scratch/headers.inc" -DVERSION="$version"
"$cmake" --build "$scratch/consumer"
"$scratch/consumer/quantize" "$scratch/quantized.npy" >"$scratch/output"
cat "$scratch/output"
[ "$(cat "$scratch/output")" = "1 -0.5 0.25 1.5" ]
[ -s "$scratch/quantized.npy" ]
