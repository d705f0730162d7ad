import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from provisioner.errors import UsageError
from provisioner.plugin.values import (
    OUTPUT,
    SECRET,
    SIGNATURE,
    UNKNOWN,
    UNKNOWN_TEXT,
    SecretValue,
    decode,
    encode,
    number_of,
    same,
    strip,
    text_of,
)

plain = st.none() | st.booleans() | st.floats(allow_nan=False) | st.text().filter(lambda t: "-" not in t)
keys = st.text().filter(lambda k: k != SIGNATURE)


def unsecret(value):
    return st.just(value) if isinstance(value, SecretValue) else st.just(SecretValue(value))


properties = st.recursive(
    plain | st.just(UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3) | inner.flatmap(unsecret),
    max_leaves=12,
)


def struct(value):
    message = struct_pb2.Struct()
    json_format.ParseDict(value, message)
    return message


@given(st.dictionaries(keys, properties, max_size=4))
def test_what_is_encoded_is_decoded(value):
    wire = encode(value).SerializeToString()
    assert decode(struct_pb2.Struct.FromString(wire)) == value


@given(properties)
def test_a_secret_mark_makes_no_difference(value):
    assert same(value, SecretValue(value))
    assert "SecretValue" not in repr(strip(value))


@given(plain)
def test_unknown_equals_nothing_known(value):
    assert not same(UNKNOWN, value)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (UNKNOWN_TEXT, UNKNOWN),
        ("1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", UNKNOWN),
        ({SIGNATURE: SECRET, "value": "x"}, SecretValue("x")),
        ({SIGNATURE: SECRET, "value": UNKNOWN_TEXT}, SecretValue(UNKNOWN)),
        ({SIGNATURE: OUTPUT}, UNKNOWN),
        ({SIGNATURE: OUTPUT, "value": 1, "dependencies": ["urn:x"]}, 1.0),
        ({SIGNATURE: OUTPUT, "value": None}, None),
        ({SIGNATURE: OUTPUT, "secret": True}, SecretValue(UNKNOWN)),
        ({SIGNATURE: OUTPUT, "value": "x", "secret": True}, SecretValue("x")),
        ({SIGNATURE: SECRET, "value": {SIGNATURE: SECRET, "value": "x"}}, SecretValue("x")),
        ([1, None, {"a": True}], [1.0, None, {"a": True}]),
    ],
)
def test_wire_forms(wire, value):
    assert decode(struct({"key": wire})) == {"key": value}


@pytest.mark.parametrize("signature", ["c44067f5952c0a294b673a41bacd8c17", "5cf8f73096256a8f31e491e813e4eb8e"])
def test_assets_and_references_are_refused(signature):
    with pytest.raises(UsageError, match="cannot be inputs"):
        decode(struct({"key": {SIGNATURE: signature, "urn": "x"}}))


def test_one_and_true_differ():
    assert not same({"a": 1.0}, {"a": True})
    assert same({"a": 1, "b": [SecretValue("x")]}, {"b": ["x"], "a": 1.0})
    assert same({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0})


def test_a_secret_does_not_print():
    assert "canary" not in repr({"key": SecretValue("canary")})


def test_text_and_number():
    assert text_of({"a": SecretValue("x")}, "a") == "x"
    assert number_of({"a": 3.0}, "a") == 3
    for bad in (UNKNOWN, None, True, 1.5, "1"):
        with pytest.raises(UsageError, match="whole number"):
            number_of({"a": bad}, "a")
    for bad in (UNKNOWN, None, 1.0, SecretValue(UNKNOWN)):
        with pytest.raises(UsageError, match="known text"):
            text_of({"a": bad}, "a")
