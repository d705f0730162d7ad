#!/bin/sh
# Undoes what start.sh made, for hosts that stay; the data in SEALER_DATA is the caller's to keep or delete.
. scripts/lib.sh
stop_etcd
