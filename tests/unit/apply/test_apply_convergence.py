"""Whatever happened, and wherever a run was killed: the same `up` once more, and then there is nothing left to do."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from apply_model import ENV, Killed, Model, accepted, changeset, image
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.apply.inputs import PlanInputs
from provisioner.apply.plan import plan_apply
from provisioner.errors import StepError
from provisioner.model.accepted import Accepted
from provisioner.model.ids import StepId
from provisioner.model.secret import reveal
from provisioner.model.steps import StepState

NAMES = ("m1", "m2", "m3", "n1")


class World:
    """A model cluster, what is wanted of it, and the operations that may befall it."""

    def __init__(self) -> None:
        self.model = Model()
        self.nodes = 1
        self.sign = "a"
        self.env = dict(ENV)

    @property
    def wanted(self) -> Accepted:
        return accepted(3, self.nodes)

    def inputs(self) -> PlanInputs:
        self.model.sync(self.wanted)
        labels = {"sealer-cloud.cmd.1": "env=TICK"}
        more = {"image": image(self.sign, labels=labels), "changeset": changeset(self.sign), "values": self.env}
        return self.model.inputs(self.wanted, **more)

    def up(self, stop_after: int | None = None) -> None:
        """Plan and execute; a CMD without an end is redone, as the hint says."""
        inputs = self.inputs()
        try:
            plan = plan_apply(inputs)
        except StepError:
            plan = plan_apply(replace(inputs, redo=frozenset({StepId("cluster/cmd/1")})))
        self.model.stop_after = stop_after
        with contextlib.suppress(Killed):
            self.model.execute(plan)
        self.model.stop_after = None

    def befall(self, what: str, who: str, value: int) -> None:
        host = self.model.hosts.get(who)
        if what == "env":
            self.env[("TICK", "DISK", "LOGLEVEL", "TOKEN", "UNUSED")[value % 5]] = f"v{value}"
        elif what == "image":
            self.sign = "ab"[value % 2]
        elif what == "scale":
            self.nodes = value % 3
        elif what == "killed up":
            self.up(stop_after=value)
        elif host and what == "reboot":
            host.reboot()
        elif host and what == "die":
            host.started = False
        elif host and what == "lose rootfs":
            host.digests.clear()
        elif host and what == "replace" and who != "m2":
            self.model.hosts[who] = host.replaced()
        elif what == "up":
            self.up()


OPERATIONS = st.tuples(
    st.sampled_from(
        ["env", "image", "scale", "reboot", "die", "lose rootfs", "replace", "up", "killed up", "killed up"]
    ),
    st.sampled_from(NAMES),
    st.integers(0, 80),
)


def _assert_converged(world: World) -> None:
    """Nothing is left to do, every script ran last with what is wanted now, every file holds it."""
    assert not plan_apply(world.inputs()).changes
    env = {name: reveal(value) for name, value in world.env.items()}
    peers = " ".join(f"{host.name}={host.address}" for host in world.model.hosts.values())
    for host in world.model.hosts.values():
        assert host.started
        assert host.initialised == (image(world.sign).digest, env["DISK"])
        assert host.running == (image(world.sign).digest, env["LOGLEVEL"], env["TICK"], env["TOKEN"])
        assert host.files["etc/auth"] == f"token: {env['TOKEN']}\n"
        head = f"name: {host.name}\npeers: {peers}\ntick: {env['TICK']}\n"
        assert host.files["etc/etcd.conf"].startswith(head)
    masters = [host for host in world.model.hosts.values() if host.name.startswith("m")]
    commands = {
        tuple(sorted({e.inputs for e in m.entries if e.step == "cluster/cmd/1" and e.rc == 0})) for m in masters
    }
    assert all(commands)


@settings(max_examples=75, deadline=None)
@given(st.lists(OPERATIONS, max_size=8))
def test_one_whole_up_leaves_nothing_to_do(operations: list[tuple[str, str, int]]) -> None:
    world = World()
    for operation in operations:
        world.befall(*operation)
    world.up()
    _assert_converged(world)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 120), st.integers(0, 120))
def test_a_create_killed_anywhere_stays_a_create(first: int, second: int) -> None:
    world = World()
    world.up(stop_after=first)
    world.up(stop_after=second)
    world.up()
    _assert_converged(world)
    assert plan_apply(world.inputs()).joining == ()
    assert all("phase: create" in host.files["etc/etcd.conf"] for host in world.model.hosts.values())


@settings(max_examples=30, deadline=None)
@given(st.lists(OPERATIONS, max_size=6), st.sets(st.sampled_from(NAMES)))
def test_a_plan_made_without_some_hosts_shows_all_that_then_runs(
    operations: list[tuple[str, str, int]], unread: set[str]
) -> None:
    world = World()
    world.up()
    for operation in operations:
        world.befall(*operation)
    inputs = world.inputs()
    facts = {name: host.facts() for name, host in world.model.hosts.items()}
    for name in unread & facts.keys():
        world.model.hosts[name].readable = False
    blind = replace(world.inputs(), final=False)
    for name in unread & facts.keys():
        world.model.hosts[name].readable = True
    with contextlib.suppress(StepError):
        final = plan_apply(inputs)
        shown = plan_apply(blind)
        left = {f"cluster/member/n{i}" for i in (1, 2, 3)}  # who left is known to masters alone
        missing = {s.id for s in final.steps} - {s.id for s in shown.steps}
        assert missing <= (left if {"m1", "m2", "m3"} <= unread else set())
        if not shown.provisional:
            assert [s.id for s in shown.steps] == [s.id for s in final.steps]
        for host, other in zip(shown.hosts, final.hosts, strict=True):
            assert host.bytes_to_send >= other.bytes_to_send


@settings(max_examples=20, deadline=None)
@given(st.sets(st.sampled_from(NAMES), min_size=1))
def test_a_plan_made_before_machines_are_replaced_shows_all_that_then_runs(creating: set[str]) -> None:
    world = World()
    world.up()
    before = plan_apply(replace(world.inputs(), creating=frozenset(creating), final=False))
    for name in creating:
        world.model.hosts[name] = world.model.hosts[name].replaced()
    final = plan_apply(world.inputs())
    assert {s.id for s in final.steps} <= {s.id for s in before.steps}
    states = {
        s.state for host in before.hosts if host.name in creating for s in host.steps if s.id.startswith(host.name)
    }
    assert states == {StepState.NEW}
