#!/bin/sh
# Undoes what init.sh and start.sh made outside SEALER_DATA, on hosts that stay: the process and its pid file. May be
# repeated; the data is the caller's to keep or delete.
# sealer:env
set -eu
. scripts/lib.sh
stop_etcd
rm -f "$PID_FILE"
echo "etcd is stopped"
