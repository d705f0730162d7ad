# Two commands for a new user: `make up` and `make test`. Everything else is for those who work on it.
PYTEST = .venv/bin/python -m pytest
# Where byte code may not be written, each of the tests' thousands of processes compiles all that it imports anew.
export PYTHONDONTWRITEBYTECODE =
.PHONY: help setup setup-clouds up down test test-clouds smoke-aws smoke-alicloud fast bench bench-clouds lint format schemas clean

help:  ## What there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup:  ## Packages (no daemon is started), .venv, engine
	@tools/setup.sh

up: setup  ## Three local hosts with a healthy etcd
	@tools/up.sh

down:  ## Remove what `make up` made
	@.venv/bin/sealer-cloud down etcd --provider local --yes

lint:  ## ruff, mypy, import contracts, size limits
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python tools/limits.py

# Four at a time on two cores: four tenths of their time these wait for processes that they started.
fast: setup  ## The quick tests: no root, no engine, under 2 minutes
	$(PYTEST) -q -n 4 --ignore=tests/clouds -m "not hosts and not engine and not slow"

test: setup lint  ## All tests: real engine, real sshd, real etcd
	$(PYTEST) -q -n 4 --ignore=tests/clouds -m "not hosts and not engine"
	$(PYTEST) -q -n 2 --dist loadfile --ignore=tests/clouds -m "hosts or engine"

setup-clouds: setup  ## The clouds' SDKs, and the plugin for Alibaba Cloud (9 minutes, 7 GB of memory)
	@tools/setup-clouds.sh

test-clouds: setup-clouds  ## Tests of the clouds: real engine, real SDKs, simulators on loopback
	$(PYTEST) -q -n 2 --dist loadfile tests/clouds

smoke-aws: setup  ## Your own AWS account: two small hosts for half an hour at most, checked, removed (cents)
	.venv/bin/python tools/smoke.py aws

smoke-alicloud: setup-clouds  ## The same on your own Alibaba Cloud account
	.venv/bin/python tools/smoke.py alicloud

bench: setup  ## Speed as ratios against a peer in the same run
	.venv/bin/python -m benchmarks

bench-clouds: setup-clouds  ## The same for stage 1 on the simulated clouds (11 minutes)
	.venv/bin/python -m benchmarks clouds

format:  ## Write the code in the house's form
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

clean:  ## Remove what was built here
	rm -rf .venv build dist examples/etcd/context .pytest_cache .mypy_cache .ruff_cache .hypothesis
