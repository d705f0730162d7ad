#!/bin/sh
# The main job, as a new user would do it: build the example image if it is not there, bring up three hosts with it.
set -eu
cd "$(dirname "$0")/.."
sealer_cloud=.venv/bin/sealer-cloud
if ! "$sealer_cloud" image inspect etcd:v1 >/dev/null 2>&1; then
  echo "etcd:v1: fetching etcd from Debian's packages (unpacked, not installed)" >&2
  examples/etcd/fetch.sh
  "$sealer_cloud" image build -t etcd:v1 -f examples/etcd/Kubefile examples/etcd/context
fi
"$sealer_cloud" up etcd:v1 --provider local --masters 3 --yes "$@"
if ! command -v sealer-cloud >/dev/null 2>&1; then
  echo "  first   export PATH=\"$PWD/.venv/bin:\$PATH\"   (then the lines above work as they are)"
fi
