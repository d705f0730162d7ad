import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import errors
from provisioner.model.wire import from_wire, to_wire
from provisioner.plugin.status import status_of

KINDS = [
    errors.UsageError,
    errors.ImageError,
    errors.AccessError,
    errors.ProviderError,
    errors.HostError,
    errors.StepError,
    errors.LockedError,
    errors.DeadlineError,
    errors.PreconditionError,
    errors.CapacityError,
    errors.InterruptedRunError,
]
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1).filter(lambda t: t not in {"--", "hint:"})
sentence = st.lists(words, min_size=1, max_size=4).map(" ".join)


@given(st.sampled_from(KINDS), sentence, st.just("") | sentence, st.sampled_from(["", "m1", "worker-10"]))
def test_an_error_passes_through_the_engine(kind, message, hint, host):
    line = to_wire(kind(message, hint=hint, host=host, evidence="canary"))
    assert "canary" not in line
    (back,) = from_wire(f"\x1b[31merror:\x1b[0m creating urn:x: {line}\n   and more of the engine's")
    assert (type(back), back.message, back.hint, back.host) == (kind, message, hint, host)


@given(st.text())
def test_any_text_may_come_back(text):
    from_wire(text)
    from_wire(f"[sealer-cloud 12] {text}")


def test_every_error_once_and_in_order():
    one, two = errors.PreconditionError("no space", host="m1"), errors.HostError("gone", host="m2")
    found = from_wire("\n".join(map(to_wire, (one, two, one))))
    assert [(type(e), e.host) for e in found] == [(errors.PreconditionError, "m1"), (errors.HostError, "m2")]
    assert from_wire("nothing of ours") == ()
    assert type(from_wire("[sealer-cloud 77] from a newer plugin")[0]) is errors.SealerError


@pytest.mark.parametrize("kind", KINDS)
def test_known_errors_leave_no_pending_operation(kind):
    code, text = status_of(kind("message"))
    assert code not in {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS}
    assert text.endswith("] message")


def test_a_bug_says_its_place_and_no_value():
    def bug():
        return {}["canary"]

    with pytest.raises(KeyError) as caught:
        bug()
    code, text = status_of(caught.value)
    assert code is grpc.StatusCode.INTERNAL
    assert "KeyError at test_plugin_wire.py:" in text
    assert "canary" not in text
