"""Templates: what the subset means, what it refuses and where, and that values stay data."""

from __future__ import annotations

import pytest

from provisioner.apply.env import Peer
from provisioner.apply.templates import check_names, names_in, parse_template, read_template, render
from provisioner.errors import InvalidFileError
from provisioner.model.ids import HostName
from provisioner.model.secret import Secret

PEERS = (Peer(HostName("m1"), "10.0.0.1", ("master",)), Peer(HostName("n1"), "10.0.0.2", ("node", "gpu")))
VALUES = {
    "A": "one",
    "EMPTY": "",
    "LIST": "a;b",
    "EVIL": "{{ .SECRET }}",
    "SECRET": Secret("hush"),
    "SEALER_PEERS": PEERS,
    "NONE": (),
}


def _render(text: str) -> str:
    result = render(parse_template("etc/x.tmpl", text), VALUES)
    assert isinstance(result, str)
    return result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", ""),
        ("plain }} text\r\n", "plain }} text\r\n"),
        ("{{ .A }}", "one"),
        ("{{.A}}", "one"),
        ("a  {{- .A -}}  b", "aoneb"),
        ("a  {{ .A }}  b", "a  one  b"),
        ("a\n{{- /* note */ -}}\nb", "ab"),
        ("a{{/* note\nover lines */}}b", "ab"),
        ("a {{/* x */}} {{- .A }}", "a one"),
        ("{{/* a */}}b{{/* c */}}", "b"),
        ('{{ "q\\"\\n\\x41\\u00e9\\101" }}', 'q"\nAéA'),
        ("{{ `raw \\n }}` }}", "raw \\n }}"),
        ('{{ "{{" }}', "{{"),
        ("{{ 12 }}{{ -3 }}{{ true }}", "12-3true"),
        ("{{ if .A }}y{{ end }}", "y"),
        ("{{ if .EMPTY }}y{{ else }}n{{ end }}", "n"),
        ('{{ if eq .A "x" }}x{{ else if eq .A "z" "one" }}1{{ else }}n{{ end }}', "1"),
        ('{{ if ne .A "x" }}y{{ end }}', "y"),
        ("{{ if not .EMPTY }}y{{ end }}", "y"),
        ("{{ if and .A .EMPTY }}y{{ else }}n{{ end }}", "n"),
        ("{{ or .EMPTY .A }}", "one"),
        ('{{ if and (eq .A "one") (not .EMPTY) }}y{{ end }}', "y"),
        ('{{ default "d" .EMPTY }}{{ .EMPTY | default "e" }}{{ .A | default "f" }}', "deone"),
        ('{{ default "2379" .UNSET }}', "2379"),
        ("{{ b64enc .A }}", "b25l"),
        ('{{ "b25l" | b64dec }}', "one"),
        ("{{ .A | b64enc | b64dec }}", "one"),
        ("{{ .LIST }}", "a;b"),
        ("{{ .SEALER_PEERS }}", "m1=10.0.0.1 n1=10.0.0.2"),
        ('{{ join "," .SEALER_PEERS }}', "m1=10.0.0.1,n1=10.0.0.2"),
        ('{{ .SEALER_PEERS | join "," }}', "m1=10.0.0.1,n1=10.0.0.2"),
        ("{{ range .SEALER_PEERS }}{{ .Name }}@{{ .Address }} {{ end }}", "m1@10.0.0.1 n1@10.0.0.2 "),
        ("{{ range $i, $p := .SEALER_PEERS }}{{ if $i }},{{ end }}{{ $p.Name }}{{ end }}", "m1,n1"),
        ('{{ range $p := .SEALER_PEERS }}{{ join "+" $p.Roles }}{{ $.A }} {{ end }}', "masterone node+gpuone "),
        ("{{ range .SEALER_PEERS }}{{ range .Roles }}{{ . }};{{ end }}{{ end }}", "master;node;gpu;"),
        ("{{ range .NONE }}x{{ else }}none{{ .A }}{{ end }}", "noneone"),
        ("{{ range .SEALER_PEERS -}}\n  {{ .Name }}\n{{ end -}}\n", "m1\nn1\n"),
    ],
)
def test_the_subset_means_what_go_means(text: str, result: str) -> None:
    assert _render(text) == result


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a\n  {{ .TYPO }}", 2, 6, "the variable TYPO is not defined"),
        ("{{ if .EMPTY }}{{ .TYPO }}{{ end }}", 1, 19, "the variable TYPO is not defined"),
        ("{{ default .TYPO .A }}", 1, 12, "the variable TYPO is not defined"),
        ("{{ upper .A }}", 1, 4, "unknown function 'upper'"),
        ("{{ .A", 1, 1, "this {{ is never closed"),
        ("x{{ }}", 1, 2, "a value is missing here"),
        ("{{ if .A }}x", 1, 1, "this 'if' has no {{ end }}"),
        ("{{ range .SEALER_PEERS }}x", 1, 1, "this 'range' has no {{ end }}"),
        ("\n{{ end }}", 2, 4, "'end' without a block that it belongs to"),
        ("{{ else }}", 1, 4, "'else' without a block that it belongs to"),
        ("{{ if .A }}{{ else }}{{ else }}{{ end }}", 1, 25, "a second 'else' in one 'if'"),
        ("{{ if .A }}{{ end .A }}", 1, 19, "nothing stands after 'end' here"),
        ("{{ with .A }}{{ end }}", 1, 4, "'with' is not supported"),
        ("{{ define `x` }}{{ end }}", 1, 4, "'define' is not supported"),
        ('{{ "abc }}', 1, 4, 'a text that starts with " is not closed here, or is no text'),
        ("{{ 'a' }}", 1, 4, "a text that starts with ' is not closed here, or is no text"),
        ("{{ 1.5 }}", 1, 4, "'1' has no meaning here"),
        ("{{ $x }}", 1, 4, "unknown variable $x"),
        ("{{ $x := .A }}", 1, 4, "unknown variable $x"),
        ("{{ (.A }}", 1, 4, "this ( is not closed"),
        ("{{ .A .A }}", 1, 7, "'.A' has no meaning here"),
        ("{{ .A | .A }}", 1, 9, "after | stands a function"),
        ("{{ .A | }}", 1, 1, "after | stands a function"),
        ("{{ join .A }}", 1, 4, "join takes 2 arguments, not 1"),
        ("{{ b64enc b64dec .A }}", 1, 11, "a function as an argument stands in parentheses"),
        ("{{ range .A }}{{ end }}", 1, 1, "range takes a list"),
        ("{{ range .SEALER_PEERS }}{{ .Port }}{{ end }}", 1, 29, "there is no .Port here"),
        ("{{ .A.B }}", 1, 4, "there is no .B here"),
        ("{{ . }}", 1, 4, "all variables at once have no text"),
        ("{{ if eq .A 3 }}{{ end }}", 1, 7, "eq compares two texts or two numbers"),
        ('{{ b64dec "?" }}', 1, 4, "b64dec: the value is not base64 of UTF-8 text"),
        ('{{ "\\q" }}', 1, 5, "\\q is no escape"),
        ('{{ "\\ud800" }}', 1, 5, "\\ud800 is no character"),
        ("{{/* x", 1, 1, "a comment stands alone in its braces and is closed: {{/* … */}}"),
        ("{{/* x */ .A }}", 1, 1, "a comment stands alone in its braces and is closed: {{/* … */}}"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        _render(text)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line, problem.column, problem.message) == ("etc/x.tmpl", line, column, message)


def test_values_are_data() -> None:
    assert _render("{{ .EVIL }}") == "{{ .SECRET }}"


def test_a_secret_makes_the_whole_result_secret_even_when_only_asked_about() -> None:
    for text in ("p={{ .SECRET }}", '{{ if eq .SECRET "x" }}{{ end }}', "{{ if .EMPTY }}{{ .SECRET }}{{ end }}"):
        assert isinstance(render(parse_template("x", text), VALUES), Secret)
    assert render(parse_template("x", "p={{ .SECRET }}"), VALUES) == Secret("p=hush")


def test_errors_never_show_a_value() -> None:
    with pytest.raises(InvalidFileError) as caught:
        render(parse_template("x", "{{ b64dec .SECRET }}"), VALUES)
    assert "hush" not in str(caught.value)


def test_names_are_found_everywhere_but_not_fields_of_elements() -> None:
    text = "{{ if .A }}{{ else if .B }}{{ else }}{{ default .C .D }}{{ end }}{{ range .P }}{{ .Name }}{{ $.E }}{{ else }}{{ .F }}{{ end }}"
    assert names_in(parse_template("x", text)) == {"A", "B", "C", "D", "P", "E", "F"}


def test_all_undefined_names_are_told_at_once() -> None:
    with pytest.raises(InvalidFileError) as caught:
        check_names(parse_template("x", "{{ .X }}\n{{ .Y }}{{ default 1 .Z }}"), frozenset({"A"}))
    assert [(p.line, p.column) for p in caught.value.problems] == [(1, 4), (2, 4)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ if .A }}" * 40, "blocks are nested more than 32 deep"),
        ("{{ " + "(" * 40 + ".A" + ")" * 40 + " }}", "parentheses are nested more than 32 deep"),
        ("{{ .A" + " | b64enc" * 40 + " }}", "more than 32 functions lie within each other"),
        pytest.param(
            "{{ range $.SEALER_PEERS }}" * 30 + "{{ end }}" * 30,
            "rendering this takes too much work",
            marks=pytest.mark.slow,  # nested deeper than it is worked through, but for a while
        ),
        ('{{ "' + "x" * 500_000 + '"' + " | b64enc" * 31 + " }}", "rendering this takes too much work"),
    ],
)
def test_no_template_takes_us_down(text: str, message: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        _render(text)
    assert caught.value.problems[0].message == message


def test_output_is_bounded() -> None:
    many = tuple(Peer(HostName(f"n{i}"), "10.0.0.1", ("node",)) for i in range(200))
    with pytest.raises(InvalidFileError, match="longer than 16 MiB"):
        render(parse_template("x", "{{ range .P }}" + "x" * 100_000 + "{{ end }}"), {"P": many})


def test_raw_bytes_are_checked() -> None:
    with pytest.raises(InvalidFileError, match="1 MiB"):
        read_template("x", b"x" * ((1 << 20) + 1))
    with pytest.raises(InvalidFileError, match="x:2:2: a template is UTF-8 text"):
        read_template("x", b"a\nb\xff")
