"""The cluster's outputs: whoever wrote them, all masters have them, and every command shows the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.apply.facts import Reading
from provisioner.apply.output import Masker
from provisioner.apply.outputs import (
    decode_outputs,
    merge_outputs,
    parse_outputs,
    render_outputs,
    show_outputs,
)
from provisioner.errors import SealerError
from provisioner.model.facts import FactMap, HostFacts, Unreadable
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret
from tests.fakes.hosts import PATHS
from tests.unit.apply_edge.edge_rig import CANARY, SCRIPTS, Cluster

INIT = SCRIPTS["scripts/init.sh"] + b'echo "made.$SEALER_HOST=yes" >>"$SEALER_OUTPUT"\n'
ODD = "a\rb\x0bc\x0cd\x1ce\x1df\x1eg\x85h\u2028i\u2029j"


def test_outputs_are_read_with_their_secrets() -> None:
    found = parse_outputs("a=1\nsecret:b=x=y\na=2\nnothing\n=z\n;k=1\n")
    assert found == {"a": "2", "b": Secret("x=y")}


def test_only_a_line_end_ends_a_value() -> None:
    assert parse_outputs(f"secret:pw={ODD}\nurl=x\n") == {"pw": Secret(ODD), "url": "x"}
    assert show_outputs(parse_outputs(f"secret:pw={ODD}\n")) == {"pw": "***"}


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True), st.binary().filter(lambda b: b"\n" not in b)))
def test_what_is_rendered_is_read_back(raw: dict[str, bytes]) -> None:
    outputs = {key: Secret(decode_outputs(value)) for key, value in raw.items()}
    assert parse_outputs(decode_outputs(render_outputs(outputs))) == outputs


def test_known_secrets_are_masked_in_outputs_that_are_none() -> None:
    outputs = parse_outputs("url=http://u:hunter22@h\nsecret:pw=hunter22\ntoken=canary-1\n")
    shown = show_outputs(outputs, Masker([Secret("canary-1")]))
    assert shown == {"url": "http://u:***@h", "pw": "***", "token": "***"}


async def facts_of(cluster: Cluster) -> FactMap:
    from provisioner import stage2

    async with await cluster.open() as hosts:
        return await stage2.read_hosts(hosts, Reading(PATHS))


async def outputs_on(cluster: Cluster) -> dict[str, dict[str, object]]:
    facts = await facts_of(cluster)
    return {n: dict(parse_outputs(f.outputs)) for n, f in facts.items() if isinstance(f, HostFacts)}


async def test_the_first_masters_value_counts_and_nothing_is_lost(cluster: Cluster) -> None:
    facts = await facts_of(cluster)
    texts = {"m1": "a=1\n", "m2": "a=2\nb=2\n", "n1": "a=3\nb=3\nc=3\n"}
    told = {HostName(n): replace(facts[HostName(n)], outputs=text) for n, text in texts.items()}  # type: ignore[type-var]
    assert merge_outputs(cluster.fakes.inventory.hosts, told) == {"a": "1", "b": "2", "c": "3"}
    told[HostName("m1")] = Unreadable("away", stopped=True)  # type: ignore[assignment]
    assert merge_outputs(cluster.fakes.inventory.hosts, told) == {"a": "2", "b": "2", "c": "3"}


@pytest.mark.slow
async def test_what_any_hosts_script_wrote_is_on_all_masters(cluster: Cluster) -> None:
    cluster.files = {**SCRIPTS, "scripts/init.sh": INIT}
    done = await cluster.up()
    made = {f"made.{host}": "yes" for host in cluster.names}
    found = await outputs_on(cluster)
    whole = {**made, "url": "http://10.213.0.10", "pw": Secret(CANARY)}
    assert (found["m1"], found["m2"], found["n1"]) == (whole, whole, {"made.n1": "yes"})
    assert done.report.outputs == {**made, "url": "http://10.213.0.10", "pw": "***"}


@pytest.mark.slow
@pytest.mark.parametrize("where", ["cmd-done", "cmd-recorded"])
async def test_outputs_of_a_cmd_reach_all_masters_after_a_kill(cluster: Cluster, where: str) -> None:
    def failpoint(here: str) -> None:
        if here == where:
            raise SealerError("killed")

    with pytest.raises(SealerError, match="killed"):
        await cluster.up(failpoint)
    done = await cluster.up()
    found = await outputs_on(cluster)
    assert found["m1"] == found["m2"] == {"url": "http://10.213.0.10", "pw": Secret(CANARY)}
    assert done.report.outputs == {"url": "http://10.213.0.10", "pw": "***"}
    assert not (await cluster.up()).plan.changes


@pytest.mark.slow
async def test_a_master_that_joins_gets_them(cluster: Cluster) -> None:
    await cluster.stand()
    cluster.grow("m1", "m2", "m3", "n1")
    await cluster.up()
    found = await outputs_on(cluster)
    assert found["m3"] == found["m1"] == {"url": "http://10.213.0.10", "pw": Secret(CANARY)}
