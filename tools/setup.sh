#!/bin/sh
# Everything this checkout needs, repeatable and without a question: packages, .venv, sshd for local hosts, the engine.
# Starts no daemon and opens no port: packages that would start one are unpacked, never installed.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'setup: %s\n' "$*" >&2; }

# --- Debian packages (tools only) ------------------------------------------------------------------------------------
missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
PATH=$PATH:/usr/sbin:/sbin
need ip iproute2
need ssh openssh-client
need zstd zstd
need unshare util-linux
need dpkg-deb dpkg
need tar tar
if ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then missing="$missing python3-venv"; fi
if [ -n "$missing" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    say "missing:$missing; install them, or run as root on Debian"
    exit 12
  fi
  say "installing$missing"
  log=$(mktemp)
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    exit 12
  fi
  rm -f "$log"
fi

# --- Python ----------------------------------------------------------------------------------------------------------
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  say "Python 3.11 or newer is needed, this is $(python3 --version)"
  exit 12
fi
stamp=.venv/.constraints
wanted=$(cat constraints.txt pyproject.toml | sha256sum)
if [ ! -x .venv/bin/sealer-cloud ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  say "Python packages into .venv (about a minute)"
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
  printf '%s\n' "$wanted" >"$stamp"
fi

# Many containers forbid Python to write byte code as it goes: every command would compile what it imports anew.
.venv/bin/python -m compileall -q provisioner drivers stacks sdk

# --- sshd for local hosts, and the engine -----------------------------------------------------------------------------
.venv/bin/python -c "from drivers.local.defaults import default_paths; from drivers.local.sshd import unpack_sshd; unpack_sshd(default_paths().sshd)"
.venv/bin/sealer-cloud engine install
say "done; the program is .venv/bin/sealer-cloud"
