#!/bin/sh
# add NAME ADDRESS | remove NAME [ADDRESS], on a healthy master. Both may be repeated.
set -eu
. scripts/lib.sh
ctl() { bin/etcdctl --endpoints=http://127.0.0.1:2379 --command-timeout=5s "$@"; }
action=$1 name=$2 address=${3:-}
members=$(ctl member list)   # not in a pipe, which would hide that it failed: then nothing was removed
id=$(printf '%s\n' "$members" |
  awk -F', ' -v name="$name" -v url="http://$address:2380" '$3 == name || ($3 == "" && $4 == url) { print $1 }')
if [ -n "$id" ]; then
  ctl member remove "$id"
fi
if [ "$action" = add ]; then
  # After a removal the cluster may elect; adding is refused until it has settled.
  tries=0
  until ctl member add "$name" --peer-urls="http://$address:2380" >/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || exit 1
    sleep 0.5
  done
fi
echo "$action $name done"
