#!/bin/sh
# What the tests of the clouds need beyond `make setup`: the clouds' SDKs into .venv, and the plugin for Alibaba Cloud,
# built from source (about 9 minutes, 7 GB of memory, 13 GB of disk; cached by version). Repeatable, without a question.
set -eu
cd "$(dirname "$0")/.."
say() { printf 'setup-clouds: %s\n' "$*" >&2; }

stamp=.venv/.constraints-clouds
python=$PWD/.venv/bin/python
wanted=$(cat constraints.txt constraints-clouds.txt | sha256sum)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  say "the clouds' Python packages into .venv (about a minute)"
  # Byte code for 10,000 modules is neither time nor disk well spent: only of those that every run imports.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r constraints-clouds.txt
  (
    cd "$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
    "$python" -m compileall -q -l pulumi_alicloud pulumi_alicloud/ecs pulumi_alicloud/vpc pulumi_alicloud/config \
      pulumi_aws pulumi_aws/ec2 pulumi_aws/vpc pulumi_aws/config
  )
  printf '%s\n' "$wanted" >"$stamp"
fi
say "the plugin for Alibaba Cloud (about 9 minutes the first time)"
.venv/bin/sealer-cloud plugin install alicloud
say "done"
