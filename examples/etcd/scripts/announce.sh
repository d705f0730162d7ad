#!/bin/sh
# The image's CMD: runs once per image, on the first master, when all members are healthy.
set -eu
. scripts/lib.sh
bin/etcdctl --endpoints="http://$HostIP:2379" --command-timeout=5s put /sealer/cluster "$SEALER_CLUSTER" >/dev/null
endpoints=$(for peer in $SEALER_PEERS; do printf 'http://%s:2379,' "${peer#*=}"; done | sed 's/,$//')
echo "endpoints=$endpoints" >>"$SEALER_OUTPUT"
echo "answers at $endpoints"
