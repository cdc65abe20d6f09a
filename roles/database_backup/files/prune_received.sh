#!/bin/sh
# Removes received segments that the archive has as well. What it does not have is never touched.
# usage: prune_received.sh RECEIVED ARCHIVE
set -eu
for file in "$1"/[0-9A-F]*; do
  name=${file##*/}
  [ "${#name}" -eq 24 ] || continue
  if [ -n "$(find "$2" -name "$name-*" -size +0 -print -quit)" ]; then
    rm -- "$file"
  fi
done
