"""What goes over the wire: env that arrives as it is, ledger fields that fit the model, replies read strictly."""

from __future__ import annotations

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.apply.wire import (
    MARKER,
    PARTS,
    host_argv,
    host_script,
    ledger_fields,
    parse_reply,
    render_env,
    step_key,
)
from provisioner.errors import HostError, UsageError
from provisioner.model.ids import StepId
from provisioner.model.ledger import LedgerEntry
from provisioner.model.secret import Secret
from provisioner.model.steps import StepKind
from tests.fakes.hosts import PATHS, author

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
HOSTILE = [
    '"; touch /x; "',
    "$(touch /x)",
    "`touch /x`",
    "a\nb\n",
    "'",
    "''",
    "\\",
    "{{ .X }}",
    "-n",
    "",
    " ",
    "\n",
    "é\x01",
]


def read_back(values: list[str]) -> list[str]:
    env = [(f"K{n}", value) for n, value in enumerate(values)]
    script = render_env(env) + b"".join(b'printf "%%s\\0" "$K%d"\n' % n for n in range(len(values)))
    raw = subprocess.run(["sh"], input=script, capture_output=True, check=True).stdout
    return raw.decode().split("\0")[:-1]


def test_hostile_values_arrive_literally() -> None:
    assert read_back(HOSTILE) == HOSTILE


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=5))
def test_any_value_arrives_literally(values: list[str]) -> None:
    assert read_back(values) == values


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A;B", "A=B", "é", "A\n"])
def test_bad_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no name of an env variable"):
        render_env([(name, "x")])


@pytest.mark.parametrize("value", ["a\0b", "x" * 200_000])
def test_bad_value_is_refused_without_telling_it(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        render_env([("TOKEN", Secret(value))])
    assert "TOKEN" in str(caught.value)
    assert "xxx" not in str(caught.value)


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_step_keys_are_file_names_and_differ(one: str, two: str) -> None:
    key = step_key(StepId(one))
    assert "/" not in key
    assert len(key.encode()) <= 255
    assert (key == step_key(StepId(two))) == (one == two)


def test_step_key_is_readable() -> None:
    assert step_key(StepId("m1/file/etc/etcd.conf")) == "m1+file+etc+etcd.conf"


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_fields_are_one_ascii_line_that_makes_an_entry(text: str) -> None:
    fields = ledger_fields(author(), StepId(f"m1/file/{text}"), StepKind.FILE, "ab")
    assert fields.isascii()
    assert "\n" not in fields
    raw = f'{{"v":1,"seq":1,"prev":"","time":"t",{fields},"event":"result","boot_id":"b","rc":0}}'
    entry = LedgerEntry.model_validate(json.loads(raw))
    assert (entry.step, entry.scope, entry.inputs) == (f"m1/file/{text}", "host", "ab")


@pytest.mark.parametrize("verb", PARTS)
def test_script_travels_without_its_comments_and_fits_a_word(verb: str) -> None:
    script = host_script(PARTS[verb])
    assert f"verb_{verb}()" in script
    assert not any(line.lstrip().startswith("#") for line in script.split("\n"))
    assert len(script.replace("'", "'\\''")) < 100_000
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)
    assert host_argv(PATHS, "read", 5)[-1] == "5"


def frame(*sections: tuple[str, bytes]) -> bytes:
    return MARKER + b"".join(b"@%s %d\n%s\n" % (n.encode(), len(b), b) for n, b in sections) + b"@end 0\n\n"


@given(st.dictionaries(st.sampled_from(["a", "b", "tail", "log"]), st.binary(max_size=50)), st.binary(max_size=20))
def test_reply_is_read_back(sections: dict[str, bytes], noise: bytes) -> None:
    assert parse_reply(noise.replace(b"@", b"") + frame(*sections.items()), "m1") == sections


@given(st.binary(max_size=300))
def test_any_bytes_are_a_reply_or_refused(raw: bytes) -> None:
    for text in (raw, MARKER + raw):
        try:
            parse_reply(text, "m1")
        except HostError as error:
            assert error.exit_code == 7  # noqa: PT017 - either outcome is fine


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        frame(("a", b"1"))[:-8],
        frame(("a", b"1"), ("a", b"2")),
        MARKER + b"@a 999999999\nx\n@end 0\n",
        MARKER + b"@../a 1\nx\n@end 0\n",
        MARKER + b"@a -1\nx\n@end 0\n",
    ],
)
def test_broken_reply_is_refused(raw: bytes) -> None:
    with pytest.raises(HostError):
        parse_reply(raw, "m1")
