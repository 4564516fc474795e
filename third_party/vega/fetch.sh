#!/bin/sh
# Fetches the plotting library of the HTML report: the versions of package-lock.json, each package checked against the
# hash there, and leaves the minified files and the licences of what is inside them here. The build needs none of this:
# the files are in the repository. Needs npm and the network. With --check, only tells whether the files are as fetched.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
here=$PWD
if [ "${1-}" = --check ]; then exec sha256sum --check SHA256SUMS; fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp package.json package-lock.json "$folder"
cd "$folder"
npm ci --ignore-scripts --no-audit --no-fund

for package in vega vega-lite vega-embed; do
  cp "node_modules/$package/build/$package.min.js" "$here"
done

# What only the packages' command lines use is not in the minified files.
skipped=' @types ansi-regex ansi-styles cliui commander emoji-regex escalade get-caller-file get-east-asian-width
 iconv-lite rw safer-buffer string-width strip-ansi vega-typings wrap-ansi y18n yargs yargs-parser '
skipped=$(echo "$skipped" | tr '\n' ' ')

# One entry for each text, headed by the packages that come under it.
mkdir texts
for path in node_modules/*; do
  package=$(basename "$path")
  case $skipped in *" $package "*) continue ;; esac
  text=$(find "$path" -maxdepth 1 -iname 'licen[cs]e*' | sort | head -n 1)
  if [ -z "$text" ]; then echo "fetch.sh: $package has no licence file" >&2; exit 1; fi
  name=$(sha256sum "$text" | cut -d ' ' -f 1)
  version=$(sed -n 's/^ *"version": "\(.*\)",*$/\1/p' "$path/package.json" | head -n 1)
  echo "$package $version" >>"texts/$name.packages"
  tr -d '\r' <"$text" >"texts/$name.text"
done
{
  echo 'vega.min.js, vega-lite.min.js and vega-embed.min.js are made of the packages below, under these licences.'
  for packages in $(grep -l . texts/*.packages | while read -r f; do echo "$(head -n 1 "$f" | tr ' ' _)@$f"; done | sort)
  do
    packages=${packages#*@}
    printf '\n%s\n\n' '------------------------------------------------------------------------'
    paste -s -d , "$packages" | sed 's/,/, /g' | fold -s -w 100 | sed 's/ *$//'
    echo
    cat "${packages%.packages}.text"
  done
} >"$here/LICENSES.txt"
cd "$here"
if [ -f SHA256SUMS ]; then
  sha256sum --check SHA256SUMS
else
  sha256sum ./*.min.js LICENSES.txt >SHA256SUMS
fi
