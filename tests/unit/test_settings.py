from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.errors import AccessError, UsageError
from provisioner.model.secret import Secret
from provisioner.settings import load_settings, resolve_values, with_absolute_files


def test_a_reference_gives_a_secret_and_plain_text_stays_text(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("from file\n")
    values = {"A": "plain", "B": "${env:X}", "C": f"${{file:{tmp_path}/s}}"}
    assert resolve_values(values, {"X": "from env"}) == {
        "A": "plain",
        "B": Secret("from env"),
        "C": Secret("from file"),
    }


def test_all_references_that_lead_nowhere_are_named_at_once() -> None:
    with pytest.raises(AccessError, match=r"A: \$\{env:NO\} leads nowhere; B: \$\{file:/no\} leads nowhere"):
        resolve_values({"A": "${env:NO}", "B": "${file:/no}"}, {})


@pytest.mark.parametrize("name", ["~nobody-of-this-name/x", "/dev/null/x", "a\0b"])
def test_a_file_that_cannot_be_opened_is_one_that_leads_nowhere(name: str) -> None:
    with pytest.raises(AccessError):
        resolve_values({"A": f"${{file:{name}}}"}, {})


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "f")
    with pytest.raises(UsageError, match="no regular file"):
        resolve_values({"A": f"${{file:{tmp_path}/f}}"}, {})


def test_a_reference_inside_other_text_is_a_mistake_that_is_said() -> None:
    with pytest.raises(UsageError, match="A: a reference must be the whole value"):
        resolve_values({"A": "x${env:B}"}, {"B": "1"})


def test_relative_files_are_pinned_to_the_folder_they_were_named_in() -> None:
    values = {"A": "${file:s}", "B": "${file:/abs}", "C": "${file:~/x}", "D": "plain", "E": "${env:X}"}
    pinned = with_absolute_files(values, Path("/base"))
    assert pinned == {**values, "A": "${file:/base/s}"}


def test_folders_come_from_ours_before_xdg_before_home() -> None:
    settings = load_settings({"HOME": "/h", "XDG_STATE_HOME": "/x", "SEALER_CLOUD_CACHE_DIR": "/own"})
    found = (settings.state_dir, settings.data_dir, settings.cache_dir)
    assert [str(f) for f in found] == ["/x/sealer-cloud", "/h/.local/share/sealer-cloud", "/own"]
    assert settings.origins == {
        "state_dir": "$XDG_STATE_HOME",
        "data_dir": "default",
        "cache_dir": "$SEALER_CLOUD_CACHE_DIR",
    }


def test_a_relative_folder_is_refused_by_its_variable() -> None:
    with pytest.raises(UsageError, match="XDG_STATE_HOME must be an absolute path"):
        load_settings({"HOME": "/h", "XDG_STATE_HOME": "here"})


@pytest.mark.parametrize(
    ("env", "color"),
    [({"NO_COLOR": "1"}, "never"), ({"FORCE_COLOR": "1"}, "always"), ({"TERM": "dumb"}, "never"), ({}, "auto")],
)
def test_colour_follows_the_usual_variables(env: dict[str, str], color: str) -> None:
    assert load_settings({"HOME": "/h", **env}).color == color


def test_the_environment_is_not_shown_by_its_settings() -> None:
    assert "canary" not in repr(load_settings({"HOME": "/h", "X": "canary"}))
