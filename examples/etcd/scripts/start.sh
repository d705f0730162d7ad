#!/bin/sh
# Owns the process: a running etcd is stopped first, so that a changed configuration takes effect.
# sealer:env
set -eu
. scripts/lib.sh
stop_etcd
cat etc/etcd.conf "$SEALER_DATA/bootstrap.yml" >"$SEALER_DATA/etcd.yml"
setsid bin/etcd --config-file "$SEALER_DATA/etcd.yml" >>"$RUN_LOG" 2>&1 </dev/null &
echo $! >"$PID_FILE"
sleep 0.2
if ! running; then
  echo "etcd ended at once; its last words:"
  tail -n 5 "$RUN_LOG"
  exit 1
fi
echo "etcd runs as process $(cat "$PID_FILE")"
