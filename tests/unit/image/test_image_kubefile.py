from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioner.errors import InvalidFileError, Problem
from provisioner.image import parse_kubefile
from provisioner.image.kubefile import Kubefile
from provisioner.model.grammar import MAX_VALUE

CORPUS = Path(__file__).parents[2] / "compat" / "corpus"


def parse(text: str | bytes) -> Kubefile:
    return parse_kubefile(text if isinstance(text, bytes) else text.encode(), "Kubefile")


def problems(text: str | bytes) -> list[tuple[int, int, str, str]]:
    with pytest.raises(InvalidFileError) as caught:
        parse(text)
    assert caught.value.exit_code == 3
    return [(p.line, p.column, p.key, p.message) for p in caught.value.problems]


def test_what_is_understood() -> None:
    found = parse(
        "\ufeff# syntax=docker/dockerfile:1\r\n"
        "from scratch\r\n"
        "COPY bin/a bin/b* bin/\r\n"
        "COPY ./${ARCH}/x /usr/bin/x\r\n"
        'COPY ["with blank", "to here/"]\r\n'
        'ENV A=1 B=\'two words\' C="three \\"words\\" $HOME" D=a\\ b E=\r\n'
        "ENV A=2\r\n"
        'LABEL "a.b/c"="d" e=f=g\r\n'
        "CMD kubectl apply -f x && echo '#no comment' # none\r\n"
    )
    assert [(c.sources, c.target, c.into, c.line) for c in found.copies] == [
        (("bin/a", "bin/b*"), "bin", True, 3),
        (("./${ARCH}/x",), "usr/bin/x", False, 4),
        (("with blank",), "to here", True, 5),
    ]
    assert found.env == {"A": "2", "B": "two words", "C": 'three "words" $HOME', "D": "a b", "E": ""}
    assert found.labels == {"a.b/c": "d", "e": "f=g"}
    assert found.cmds == ("kubectl apply -f x && echo '#no comment' # none",)


@pytest.mark.parametrize(
    ("line", "cmds"),
    [
        ("CMD echo a", ("echo a",)),
        ("CMD   helm install --set a=1,b=2  ", ("helm install --set a=1,b=2",)),
        ('CMD ["one", "two, three"]', ("one", "two, three")),
        ("CMD [ -f /x ] && echo yes", ("[ -f /x ] && echo yes",)),
        ("CMD [[ -f /x ]] && echo yes", ("[[ -f /x ]] && echo yes",)),
        ('CMD [ "one" ]', ("one",)),
        ("CMD a \\\n  b \\\n# comment\n\n  c", ("a   b   c",)),
        ("CMD a\\  \nb", ("ab",)),
        ("CMD one\nCMD two", ("one", "two")),
        ('CMD echo "a', ('echo "a',)),  # the shell's business, not ours
        ("CMD last \\", ("last",)),
    ],
)
def test_commands(line: str, cmds: tuple[str, ...]) -> None:
    assert parse(f"FROM scratch\n{line}").cmds == cmds


REFUSED = [
    ("", 1, 1, "FROM", "there is no FROM"),
    ("COPY a b\nFROM scratch", 1, 1, "COPY", "stands before FROM"),
    ("FROM", 1, 1, "FROM", "needs an image"),
    ("FROM kubernetes:v1.19.8", 1, 6, "FROM", "kubernetes:v1.19.8 is not built yet"),
    ("FROM scratch AS base", 1, 14, "FROM", "one image and nothing after"),
    ("FROM --platform=linux/arm64 scratch", 1, 6, "FROM", "--platform is not built yet"),
    ("FROM scratch\nFROM scratch", 2, 1, "FROM", "second FROM"),
    ("FROM scratch\nCOPY a", 2, 1, "COPY", "source and a destination"),
    ("FROM scratch\nCOPY", 2, 1, "COPY", "source and a destination"),
    ("FROM scratch\nCOPY --from=0 a b", 2, 6, "COPY", "--from is not built yet"),
    ("FROM scratch\nCOPY --chown=1:1 a b", 2, 6, "COPY", "--chown is not built yet"),
    ("FROM scratch\nCOPY ../a b", 2, 6, "COPY", "leads upwards"),
    ("FROM scratch\nCOPY a ../b", 2, 8, "COPY", "leads upwards"),
    ("FROM scratch\nCOPY a b c", 2, 10, "COPY", "destination is a folder"),
    ("FROM scratch\nCOPY $HOME/a b", 2, 6, "COPY", "'$HOME'"),
    ("FROM scratch\nCOPY a \\\n  ../b", 3, 3, "COPY", "leads upwards"),
    ('FROM scratch\nCOPY ["a"', 2, 6, "COPY", "no JSON array"),
    ("FROM scratch\nCOPY 'a b", 2, 6, "COPY", "quote is never closed"),
    ("FROM scratch\nCOPY <<EOF /x\nRUN me\nEOF", 2, 1, "COPY", "here-document"),
    ("FROM scratch\nENV A b c", 2, 5, "ENV", "'A' is not NAME=VALUE"),
    ("FROM scratch\nENV", 2, 1, "ENV", "needs NAME=VALUE"),
    ("FROM scratch\nENV 1A=b", 2, 5, "ENV", "does not start with a digit"),
    ("FROM scratch\nENV A=1 =2", 2, 9, "ENV", "an env name is letters"),
    ("FROM scratch\nENV A=1 my.var=2", 2, 9, "ENV", "'.' or '-' (my.var) is not built yet"),
    ("FROM scratch\nENV \\\n  SEALER_HOST=evil", 3, 3, "ENV", "SEALER_HOST is set by sealer-cloud itself"),
    ("FROM scratch\nENV HostIP=1", 2, 5, "ENV", "HostIP is set by sealer-cloud itself"),
    ("FROM scratch\nENV A=1\nENV BIG=" + "x" * (MAX_VALUE + 1), 3, 5, "ENV", "BIG is longer than"),
    ('FROM scratch\nENV A="b', 2, 7, "ENV", "quote is never closed"),
    ("FROM scratch\nLABEL =b", 2, 7, "LABEL", "needs a name"),
    ("FROM scratch\nCMD", 2, 1, "CMD", "needs a command"),
    ('FROM scratch\nCMD ["a", 1]', 2, 5, "CMD", "no JSON array"),
    ("FROM scratch\nCMD [a, b]", 2, 5, "CMD", "no JSON array"),
    ("FROM scratch\nCMD []", 2, 1, "CMD", "empty text"),
    ('FROM scratch\nCMD ["a", " "]', 2, 1, "CMD", "empty text"),
    ("FROM scratch\n  RUN x", 2, 3, "RUN", "RUN is not built yet"),
    ("FROM scratch\nrun <<EOF\nCOPY\nEOF", 2, 1, "RUN", "RUN is not built yet"),
    ("FROM scratch\nENTRYPOINT x", 2, 1, "ENTRYPOINT", "belongs to containers"),
    ("FROM scratch\nCOPPY a b", 2, 1, "COPPY", "no instruction"),
    ("FROM scratch\n...", 2, 1, "...", "no instruction"),
    ("# escape=`\nFROM scratch", 1, 1, "", "escape character"),
    (b"FROM scratch\nCMD \xff", 2, 5, "", "not UTF-8"),
    (b"FROM scratch\nCMD \0", 2, 1, "", "NUL"),
    (b"#" * ((1 << 20) + 1), 1, 1, "", "larger than"),
]


@pytest.mark.parametrize(("text", "line", "column", "key", "message"), REFUSED)
def test_refused_where_it_stands(text: str | bytes, line: int, column: int, key: str, message: str) -> None:
    (found,) = problems(text)
    assert found[:3] == (line, column, key)
    assert message in found[3]


@pytest.mark.parametrize(
    "name",
    ["RUN", "ARG", "ADD", "APP", "APPENV", "APPCMDS", "LAUNCH", "CMDS", "CNI", "CSI", "KUBEVERSION", "MAINTAINER"],
)
def test_known_instructions_are_refused_by_name_and_line(name: str) -> None:
    for written in (name, name.lower()):
        assert problems(f"FROM scratch\nCOPY . .\n{written} x y\n") == [(3, 1, name, f"{name} is not built yet")]


def test_an_env_value_may_be_as_long_as_a_host_takes() -> None:
    assert len(parse(f"FROM scratch\nENV BIG={'x' * MAX_VALUE}").env["BIG"]) == MAX_VALUE


def test_all_problems_at_once_in_file_order() -> None:
    text = "FROM a:1 b\nRUN x\nCOPPY a b\nENV A\nCMD [x]\nCOPY ../a $B\n"
    assert [(line, key) for line, _, key, _ in problems(text)] == [
        (1, "FROM"),
        (2, "RUN"),
        (3, "COPPY"),
        (4, "ENV"),
        (5, "CMD"),
        (6, "COPY"),
        (6, "COPY"),
    ]


def test_a_near_miss_is_guessed() -> None:
    with pytest.raises(InvalidFileError, match=r"did you mean COPY\?"):
        parse("FROM scratch\nCOPPY a b")


# The corpus: files as their authors wrote them

CASES = [
    case
    for line in (CORPUS / "expect.jsonl").read_text().splitlines()
    if (case := json.loads(line))["file"].startswith("kubefiles/")
]


def outcome(data: bytes) -> tuple[Kubefile | None, tuple[Problem, ...]]:
    try:
        return parse_kubefile(data, "Kubefile"), ()
    except InvalidFileError as error:
        return None, error.problems


@pytest.mark.parametrize("case", CASES, ids=[case["file"].split("/")[1] for case in CASES])
def test_corpus(case: dict[str, object]) -> None:
    """Accepted with the meaning its author had, or refused for what is not built yet alone; defects are found."""
    data = (CORPUS / str(case["file"])).read_bytes()
    found, problems = outcome(data)
    if found is None:
        unbuilt = [problem for problem in problems if "not built yet" in problem.message]
        if case["expect"] == "accept":
            assert len(unbuilt) == len(problems)
        else:
            assert case["expect"] == "either" or len(unbuilt) < len(problems)
        return
    assert case["expect"] == "accept"
    facts = case["facts"]
    assert isinstance(facts, dict)
    assert [[*c.sources, c.target or "."] for c in found.copies] == [
        [*sources, target.strip("/") or "."] for *sources, target in facts.get("copy", [])
    ]
    assert list(found.cmds) == facts.get("cmds_meant", facts.get("cmd_lines", []))
    assert found.labels == facts.get("labels", {})
    assert found.env == facts.get("env", {})


def test_the_corpus_is_there() -> None:
    assert len(CASES) == 29
