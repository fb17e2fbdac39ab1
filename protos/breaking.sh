#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Refuses a wire that breaks clients of the last release (tag v*); before the first release, one that breaks HEAD.
set -eu
buf=$1
base=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || echo HEAD)
if ! git cat-file -e "$base:protos" 2>/dev/null; then
  echo "buf breaking: no protos at $base to compare with"
  exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git archive "$base" protos | tar -x -C "$folder"
"$buf" breaking protos --against "$folder/protos"
