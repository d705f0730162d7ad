#!/bin/sh
# Write constraints.txt and constraints-clouds.txt anew: exact pins with hashes, and no index named. The first is for the
# program, its tests and its build; the second adds what the tests of the clouds need, at the same versions.
# Needs pip-tools in .venv (`.venv/bin/pip install pip-tools`); run it to take newer versions, then `make test`.
# With the word `clouds` it writes the second file alone.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compile() {
  .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file "$@"
}
if [ "${1-}" != clouds ]; then
  # The engine of tools/pulumi and the Python SDK are one pair; the build backend is installed from the same file.
  engine=$(awk '$1 == "github.com/pulumi/pulumi/pkg/v3" { print substr($2, 2); exit }' tools/pulumi/go.mod)
  {
    echo "pulumi==$engine"
    echo hatchling
    echo editables
    .venv/bin/python - <<'PY'
import tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["dev"], sep="\n")
PY
  } >"$work/extra.in"
  compile constraints.txt pyproject.toml "$work/extra.in"
fi
# The clouds' SDKs are pinned by hand: 3.105.0 is what tools/pulumi-resource-alicloud bridges, 7.51.1 what the tests' own
# plugin for AWS speaks.
sed -n 's/^\([a-z0-9._-]*==[^ ;\\]*\).*/\1/p' constraints.txt >"$work/same.txt"
{
  echo "-c $work/same.txt"
  echo 'pulumi-alicloud==3.105.0'
  echo 'pulumi-aws==7.51.1'
  echo 'alibabacloud-credentials>=1.0'
  echo 'alibabacloud-tea-openapi>=0.4'
  echo 'boto3>=1.40'
  echo 'moto[server]>=5'
} >"$work/clouds.in"
compile constraints-clouds.txt "$work/clouds.in"
