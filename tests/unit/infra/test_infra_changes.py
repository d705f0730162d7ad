"""From events to plans, to errors, to hosts: tables."""

import threading

import pytest

from provisioner.errors import (
    AccessError,
    CapacityError,
    HostError,
    LockedError,
    PreconditionError,
    ProviderError,
    UsageError,
)
from provisioner.infra.changes import (
    DiagnosticSeen,
    StepSeen,
    looked_at,
    lost_of,
    natural,
    refuse_mass_loss,
    to_destroyed,
    to_event,
    to_plan,
)
from provisioner.infra.failures import MESSAGE_LIMIT, Outcome, clean, to_error
from provisioner.infra.outputs import OutputCollector, host_from, keys_from, plain_value
from provisioner.model.ids import ClusterId, RunId
from provisioner.model.plan import HOST_KEY, renewed_keys
from provisioner.model.wire import to_wire

HOST = "sealer:local:Host"
CLOUD = "alicloud:ecs/instance:Instance"


def step(op, name="m1", kind=HOST, when="done", **more):
    return StepSeen(f"urn:{kind}::{name}", kind, name, op, when, **more)


def test_a_plan_holds_each_resource_once_under_its_strongest_operation():
    steps = [
        step("refresh"),
        step("same"),
        step("delete-replaced", "m10"),
        step("replace", "m10"),
        step("create-replacement", "m10"),
        step("create", "m9"),
        step("create", "sealer-cloud-x", "pulumi:pulumi:Stack"),
        step("create", "default", "pulumi:providers:sealer"),
        step("update", "m2", diffs=("running",)),
        step("update", "m3", diffs=("slot", "roles")),
        step("update", "intent", "sealer:index:Intent", diffs=("request",)),
        step("read", "x"),
    ]
    plan = to_plan(steps)
    assert [(c.name, c.detail) for c in plan.update] == [
        ("intent", "request"),
        ("m2", "start again"),
        ("m3", "roles, slot"),
    ]
    assert [c.name for c in plan.replace] == ["m10"]
    assert [c.name for c in plan.create] == ["m9"]
    assert [c.name for c in plan.same] == ["m1"]
    assert plan.changes


@pytest.mark.parametrize(
    ("ops", "key", "told"),
    [
        (("create",), "same", "update"),
        (("replace", "create-replacement", "delete-replaced"), "same", "update"),
        (("create",), "create", "create"),
        (("create-replacement",), "replace", "replace"),
        (("import",), "same", "same"),
        (("same",), "same", "same"),
        (("update",), "same", "same"),
        (("same", "delete-replaced"), "same", "same"),  # left by a cut run: the machine that stays has its pair already
        (("delete",), "same", "same"),
    ],
)
def test_a_machine_that_is_made_for_a_host_with_keys_gets_a_fresh_pair(ops, key, told):
    steps = [step(key, "m1-key", HOST_KEY), *(step(op, kind=CLOUD) for op in ops), step("same", "m2-key", HOST_KEY)]
    plan = to_plan(iter(steps))
    found = {c.name: (op, c.detail) for op in ("create", "update", "replace", "same") for c in getattr(plan, op)}
    assert found["m1-key"] == (told, "fresh for the new machine" if told == "update" else "")
    assert found["m2-key"] == ("same", "")
    renewed = {"m1-key": "run-1"} if told == "update" else {}
    assert renewed_keys(plan, (), RunId("run-1")) == renewed
    assert renewed_keys(plan, {"m2": "i-2"}, RunId("run-1")) == renewed
    assert renewed_keys(plan, {"m1": "i-1"}, RunId("run-1")) == {}, "what is taken over was made with the recorded pair"


def test_names_sort_as_people_count():
    assert sorted(["m10", "m9", "n1", "m1"], key=natural) == ["m1", "m9", "m10", "n1"]


def test_events_hide_what_nobody_knows():
    assert to_event(step("create", "default", "pulumi:providers:sealer")) is None
    assert to_event(step("create", when="failed")) is None
    assert to_event(step("discard")) is None
    event = to_event(step("create-replacement", when="before"))
    assert (event.op, event.name, event.done) == ("replace", "m1", False)
    assert to_event(step("refresh")).op == "refresh"


def test_destroyed_lists_each_once():
    steps = [step("delete", when="before"), step("delete"), step("delete", "m2", when="failed"), step("delete", "m2")]
    destroyed = to_destroyed(steps)
    assert [c.name for c in destroyed.deleted] == ["m1"]
    assert [c.name for c in destroyed.failed] == ["m2"]


@pytest.mark.parametrize(
    ("kind", "diffs", "words"),
    [
        (CLOUD, ("instanceType",), "instance type: the machine is stopped and started"),
        (CLOUD, ("userData", "tags"), "user data: the machine is stopped and started"),
        (CLOUD, ("status",), "start again"),
        (CLOUD, ("tags",), "tags"),
        (HOST, ("running",), "start again"),
        ("alicloud:vpc/network:Network", ("instanceType",), "instanceType"),
    ],
)
def test_an_update_says_what_it_does_to_the_machine(kind, diffs, words):
    seen = StepSeen("urn", kind, "m1", "update", "before", diffs)
    assert to_plan([seen]).update[0].detail == words


def test_a_refresh_that_loses_everything_is_refused_but_for_local_types():
    gone = [step("refresh", n, CLOUD, gone=True) for n in ("m1", "m2")]
    with pytest.raises(ProviderError, match="all 2 resources"):
        refuse_mass_loss([*gone, step("refresh", "intent", "sealer:index:Intent")])
    with pytest.raises(ProviderError):  # what keys and identities say of themselves is no sign of life
        refuse_mass_loss([*gone, step("refresh", "m1-key", "sealer:index:HostKey")])
    refuse_mass_loss([*gone, step("refresh", "m3", CLOUD)])
    refuse_mass_loss([step("refresh", gone=True), step("refresh", "network", "sealer:local:Network", gone=True)])
    refuse_mass_loss([])


def test_what_is_lost_is_told_by_name_and_what_a_cloud_is_asked_for_by_urn():
    lost = step("refresh", "m1", CLOUD, gone=True)
    local = step("refresh", "m2", gone=True)
    assert lost_of([lost, lost, local, step("refresh", "m3", CLOUD), step("delete", "m4", CLOUD)]) == ("m1",)
    kinds = [
        (CLOUD, True),
        (CLOUD, False),
        (HOST, True),
        ("pulumi:providers:alicloud", True),
        ("pulumi:pulumi:Stack", False),
    ]
    resources = [{"urn": str(n), "type": kind, "custom": custom} for n, (kind, custom) in enumerate(kinds)]
    assert looked_at(resources) == {"0"}


def failed(text, name="m1", kind=HOST, op="create"):
    broken = step(op, name, kind, "failed")
    return DiagnosticSeen("error", text, broken.urn), broken


def outcome(*pairs, **more):
    return Outcome(255, diagnostics=tuple(d for d, _ in pairs), steps=tuple(s for _, s in pairs), **more)


def test_the_first_failed_resource_is_the_message():
    error = to_error(outcome(failed("no such image"), failed("later", "m2")))
    assert type(error) is ProviderError
    assert str(error) == "create sealer:local:Host m1: no such image (and 1 more)"
    assert error.host == "m1"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sdk error: Code: OperationDenied.NoStock, sold out", CapacityError),
        ("ErrorCode: QuotaExceed.ElasticQuota", CapacityError),
        ("there is no quota word in a code here", ProviderError),
        ("Code: Forbidden.RAM", AccessError),
        ("api error InsufficientInstanceCapacity: We currently do not have", CapacityError),
        ("An error occurred (UnauthorizedOperation) when calling the RunInstances operation", AccessError),
        ("RequestLimitExceeded: slow down", ProviderError),
        ("StatusCode: 403\n   Code: InvalidAccountStatus.NotEnoughBalance\n   Message: x", CapacityError),
    ],
)
def test_what_the_cloud_meant_is_told_by_the_code(text, kind):
    assert type(to_error(outcome(failed(text, kind=CLOUD)))) is kind


def test_hosts_that_were_refused_alike_are_named_together_with_the_code():
    pairs = [failed("Code: OperationDenied.NoStock", n, CLOUD) for n in ("n1", "n2")]
    misleading = failed("ResourceRegistrationFailed: it failed", "n3", CLOUD)
    error = to_error(outcome(misleading, *pairs))
    assert (type(error), error.code, error.hosts) == (CapacityError, "OperationDenied.NoStock", ("n1", "n2"))
    assert str(error).endswith("(and 1 more)")
    assert "ResourceRegistrationFailed" not in str(error)


def test_of_several_causes_the_lowest_exit_code_wins():
    told = to_wire(HostError("m1 does not answer", host="m1"))
    stock = failed("Code: OperationDenied.NoStock", "n1", CLOUD)
    assert type(to_error(outcome(stock, failed(told, "m1-identity", "sealer:index:HostIdentity")))) is HostError
    assert type(to_error(outcome(stock, failed("Code: InvalidParameter", "n2", CLOUD)))) is ProviderError


def test_a_provider_that_refuses_the_keys_before_any_resource_is_told_as_such():
    said = DiagnosticSeen("error", "could not configure: Code: InvalidAccessKeyId.NotFound, key LTAI5tAbCdEfGhIj", "")
    error = to_error(Outcome(255, diagnostics=(said,)))
    assert (type(error), error.exit_code) == (AccessError, 5)
    assert "LTAI" not in str(error)


def test_what_a_silent_machine_said_last_is_not_cut_away():
    told = to_wire(HostError(f"m1 was not reached; {'console: line; ' * 90}console: no space left", host="m1"))
    error = to_error(outcome(failed(told, "m1-identity", "sealer:index:HostIdentity")))
    assert error.message.endswith("console: no space left")
    assert len(to_error(outcome(failed(to_wire(HostError("x" * 9000)), "m1"))).message) < 4 * MESSAGE_LIMIT + 1


def test_a_machine_that_stands_otherwise_than_asked_for_is_named_with_a_way_on():
    said = "inputs to import do not match the existing resource: [instanceType]"
    broken = StepSeen("urn:pulumi:shop::sealer-cloud::x::m1", CLOUD, "m1", "import", "failed")
    error = to_error(outcome((DiagnosticSeen("error", said, broken.urn), broken)))
    assert (type(error), error.host) == (ProviderError, "m1")
    assert error.message.startswith("m1 stands already")
    assert "[instanceType]" in error.message
    assert "`sealer-cloud down shop`" in error.hint


def test_a_failed_identity_or_key_names_its_host():
    error = to_error(outcome(failed("odd", "m1-identity", "sealer:index:HostIdentity")))
    assert error.host == "m1"
    assert to_error(outcome(failed("odd", "network", "alicloud:vpc/network:Network"))).host == ""


def test_errors_of_our_plugin_keep_their_exit_code_and_hint():
    told = [to_wire(PreconditionError("no space left", hint="free some", host="m2")), to_wire(UsageError("bad cidr"))]
    error = to_error(outcome(failed(told[0], "m2"), failed(told[1])))
    assert (type(error), str(error)) == (UsageError, "bad cidr")
    error = to_error(outcome(failed(told[0], "m2")))
    assert (error.exit_code, error.hint, error.host) == (12, "free some", "m2")


@pytest.mark.parametrize(
    ("stderr", "kind", "word"),
    [
        (
            "error: getting stack configuration: get stack secrets manager: incorrect passphrase",
            AccessError,
            "incorrect",
        ),
        ("error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE or …", AccessError, "missing"),
        (
            "error: the stack is currently locked by 1 lock(s).\n  file:///x: created by ann@vm (pid 7) at 2026-11-24T14:11:11Z",
            LockedError,
            "by ann@vm, pid 7, since 2026-11-24T14:11:11Z",
        ),
        ("error: no stack named 'demo' found", PreconditionError, "no stack"),
        ("error: snapshot integrity failure; refusing to use it", PreconditionError, "damaged"),
        ("error: no resource plugin 'pulumi-resource-sealer' found in the workspace", PreconditionError, "plugin"),
        ("error: something else", ProviderError, "something else"),
        ("", ProviderError, "status 255 and said nothing"),
    ],
)
def test_texts_are_mapped_by_one_table(stderr, kind, word):
    error = to_error(outcome(stderr=stderr))
    assert type(error) is kind
    assert word in str(error)


def test_diagnostics_come_before_text():
    said = DiagnosticSeen("error", "update failed")
    assert "update failed" in str(to_error(Outcome(255, stderr="error: other", diagnostics=(said,))))


@pytest.mark.parametrize(
    ("dirty", "tidy"),
    [
        ("\x1b[31mred\x1b[0m <{%reset%}>x", "red x"),
        ('Post "https://ecs.example/?AccessKeyId=AK&Signature=S%3D": EOF', 'Post "https://ecs.example/": EOF'),
        ("https://user:pw@host/x", "https://host/x"),
        ('{"AccessKeyId":"LTAI5tAbCdEfGh","SecurityToken": "x/y"}', '{"AccessKeyId":"***","SecurityToken": "***"}'),
        ("the key LTAI5tAbCdEfGhIj and AKIAIOSFODNN7EXAMPLE", "the key *** and ***"),
        (
            'Post "https://ecs.example/?Action=RunInstances&AccessKeyId=AK&Signature=s%3D": EOF',
            'Post "https://ecs.example/": EOF',
        ),
        ("AccessKeyId=AK1 Signature=abc token=t password=p", "AccessKeyId=*** Signature=*** token=*** password=***"),
        ("a\x00b\x07c\x9bd\r", "abcd"),
    ],
)
def test_engine_text_is_cleaned(dirty, tidy):
    assert clean(dirty) == tidy


def test_long_engine_text_is_cut():
    assert len(clean("x" * 10_000)) == MESSAGE_LIMIT


def test_outputs_are_collected_from_threads():
    sink = OutputCollector()
    hosts = [{"name": f"m{n}", "address": f"10.0.0.{n}", "machineId": str(n)} for n in range(50)]
    threads = [threading.Thread(target=sink, args=("host", h)) for h in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sink("keys", {"loginPrivate": "p", "loginPublic": "q", "hmac": "h"})
    sink("something new", {})
    outputs = sink.outputs(ClusterId("x-abcdef"))
    assert len(outputs.hosts) == 50
    assert outputs.keys.login_private.reveal() == "p"
    assert "'p'" not in repr(outputs)


@pytest.mark.parametrize(
    "bad", [{}, {"name": "m1"}, {"name": "m1", "address": "a", "machineId": "i", "ssh": {"port": "x"}}]
)
def test_a_host_that_cannot_be_read_is_refused(bad):
    with pytest.raises(PreconditionError, match="cannot be read"):
        host_from(bad)


def test_a_sink_refuses_what_is_no_object():
    with pytest.raises(ProviderError, match="gave host as str"):
        OutputCollector()("host", "m1")


def test_missing_keys_are_named_and_values_are_not():
    with pytest.raises(PreconditionError, match="hmac") as caught:
        keys_from({"loginPrivate": "CANARY", "loginPublic": "x"})
    assert "CANARY" not in str(caught.value)


def test_secrets_of_an_export_are_unwrapped():
    wrapped = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": '"text"'}
    assert plain_value(wrapped) == "text"
    assert plain_value({"a": 1}) == {"a": 1}
