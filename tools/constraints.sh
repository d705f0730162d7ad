#!/bin/sh
# Write constraints.txt anew: exact pins with hashes for the program, its tests and its build. Names no index.
# Needs pip-tools in .venv (`.venv/bin/pip install pip-tools`); run it to take newer versions, then `make test`.
set -eu
cd "$(dirname "$0")/.."
extra=$(mktemp --suffix=.in)
trap 'rm -f "$extra"' EXIT
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
} >"$extra"
.venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
  --output-file constraints.txt pyproject.toml "$extra"
