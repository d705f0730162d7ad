#!/bin/sh
# Reads only. 0: this member commits; 75: not yet. The last line is what `status` shows.
. scripts/lib.sh
local=--endpoints=http://127.0.0.1:2379
if ! running; then
  echo "etcd does not run"
  exit 1
fi
# A leader steps down when it loses its quorum, so a member that knows a leader is part of one.
leader=$(bin/etcdctl $local --command-timeout=3s -w fields endpoint status 2>/dev/null | awk '$1 == "\"Leader\"" { print $3 }')
if [ "${leader:-0}" = 0 ]; then
  echo "no quorum yet"
  exit 75
fi
if ! members=$(bin/etcdctl $local --command-timeout=3s -w fields member list 2>/dev/null); then
  echo "the members are not known yet"
  exit 75
fi
printf '%s\n' "$members" | awk -v leader="$leader" '
  $1 == "\"ID\"" { id = $3; count++ }
  $1 == "\"Name\"" { gsub(/"/, "", $3); if (id == leader) name = $3 }
  END { printf "%d member%s, leader %s\n", count, (count == 1 ? "" : "s"), name }'
