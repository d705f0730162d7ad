"""The local driver's decisions, by tables."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from bpf_machine import call, run
from hypothesis import given
from hypothesis import strategies as st

from drivers.local import etchosts
from drivers.local.checks import check_machine, check_room
from drivers.local.disk import checked_login, new_host_key, own_passwd
from drivers.local.driver import LocalDriver
from drivers.local.guest import seccomp
from drivers.local.hierarchies import parse_hierarchies
from drivers.local.locks import folder_lock
from drivers.local.names import LocalPaths, Place
from drivers.local.sshd import LIST, find_sshd, inside_tree
from drivers.local.state import NetworkState, read_network_record, write_network_record
from provisioner.errors import LockedError, PreconditionError, UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.ids import ClusterId

CID = ClusterId("etcd-abc234")


# ---------------------------------------------------------------- cgroups

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
42 31 0:38 / /mnt/other rw - cgroup2 cgroup2 rw
"""


def test_hierarchies_hybrid() -> None:
    found = [(h.name, h.unified, h.option) for h in parse_hierarchies(HYBRID)]
    assert found == [
        ("cpu,cpuacct", False, "cpu,cpuacct"),
        ("systemd", False, "none,name=systemd"),
        ("unified", True, ""),
    ]


def test_hierarchies_pure_v2() -> None:
    (only,) = parse_hierarchies("30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    assert (only.mountpoint, only.unified) == ("/sys/fs/cgroup", True)


# ---------------------------------------------------------------- call filter

ALLOW, DONE, REFUSE = 0x7FFF0000, 0x00050000, 0x00050001


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filter_answers_only_what_it_lists(machine: str) -> None:
    built = seccomp.build_filter(machine)
    assert built is not None
    program, count = built
    assert len(program) == 8 * count
    arch, numbers = seccomp.ANSWERED[machine]
    ioctl = seccomp.IOCTL[machine]
    for number in range(500):
        expected = DONE if number in numbers else ALLOW
        assert run(program, call(number, arch)) == expected, number
        assert run(program, call(number, 0x40000003)) == ALLOW
    for command in seccomp.LOOP_COMMANDS:
        assert run(program, call(ioctl, arch, 3, command)) == REFUSE
    assert run(program, call(ioctl, arch, 3, 0x5413)) == ALLOW


def test_filter_of_an_unknown_processor() -> None:
    assert seccomp.build_filter("riscv64") is None


# ---------------------------------------------------------------- files of a host


def test_names_block_is_replaced() -> None:
    once = etchosts.with_block("127.0.0.1 localhost\n", [("10.0.0.1", "m1")])
    assert once.startswith("127.0.0.1 localhost\n")
    assert "10.0.0.1 m1\n" in once
    twice = etchosts.with_block(once + "1.2.3.4 mine\n", [("10.0.0.1", "m1"), ("10.0.0.2", "m2")])
    assert twice.count(etchosts.BEGIN) == 1
    assert "1.2.3.4 mine" in twice
    assert etchosts.with_block(twice, [("10.0.0.1", "m1"), ("10.0.0.2", "m2")]) == twice


@given(st.lists(st.sampled_from([etchosts.BEGIN, etchosts.END, "1.1.1.1 a", "", "# x"])))
def test_names_block_loses_no_line_of_the_host(lines: list[str]) -> None:
    text = "\n".join(lines)
    new = etchosts.with_block(text, [("9.9.9.9", "z")])
    assert new.count("9.9.9.9 z") == 1
    if etchosts.END not in lines:
        assert new.count("1.1.1.1 a") == lines.count("1.1.1.1 a")


PASSWD = """\
root:x:0:0:root:/root:/usr/bin/zsh
toor:x:0:0::/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
_apt:x:990:65534::/nonexistent:/usr/sbin/nologin
alice:x:1000:1000:Alice:/home/alice:/bin/zsh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
broken line
"""


def test_passwd_of_a_host() -> None:
    lines = own_passwd(PASSWD).splitlines()
    assert lines[0].startswith("root:x:0:0:root:/root:/bin/")
    assert [line.split(":")[0] for line in lines] == ["root", "daemon", "_apt", "nobody", "sshd"]
    assert "sshd:x:989:65534::/run/sshd:/usr/sbin/nologin" in lines
    assert own_passwd("sshd:x:104:65534::/run/sshd:/usr/sbin/nologin\n").count("sshd:x:") == 1


@pytest.mark.parametrize("line", ["", "hello", "ssh-ed25519 AAAA\nssh-ed25519 BBBB", "-----BEGIN"])
def test_login_keys_that_are_none(line: str) -> None:
    with pytest.raises(UsageError):
        checked_login(line)


def test_host_key_does_not_print() -> None:
    key = new_host_key()
    assert key.public.startswith("ssh-ed25519 AAAA")
    assert "OPENSSH" not in repr(key)
    assert key.private.reveal().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")


# ---------------------------------------------------------------- sshd


def test_no_sshd_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError) as caught:
        find_sshd(tmp_path, machine=tmp_path / "none")
    assert "make setup" in caught.value.hint


def test_unpacked_sshd_is_copied_and_machine_sshd_is_not(tmp_path: Path) -> None:
    (tmp_path / "usr/sbin").mkdir(parents=True)
    sshd = tmp_path / "usr/sbin/sshd"
    sshd.write_bytes(b"ELF persourcepenalties")
    (tmp_path / LIST).write_text("usr/sbin/sshd\n")
    assert find_sshd(tmp_path, machine=tmp_path / "none").files == ((sshd, "usr/sbin/sshd"),)
    sshd.chmod(0o755)
    own = find_sshd(tmp_path, machine=sshd)
    assert own.files == ()
    assert own.has_penalties


def test_libraries_inside_the_tree() -> None:
    text = (
        "\tlinux-vdso.so.1 (0x00007ffc)\n"
        "\tlibwrap.so.0 => /t/usr/lib/x86_64-linux-gnu/libwrap.so.0 (0x00007f2a)\n"
        "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f2b)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f2c)\n"
    )
    assert inside_tree(text, Path("/t")) == {"usr/lib/x86_64-linux-gnu/libwrap.so.0"}


# ---------------------------------------------------------------- spec


def accepted(**more: object) -> Accepted:
    raw: dict[str, object] = {
        "cluster": "etcd",
        "provider": "local",
        "image": {"reference": "etcd:v1", "repository": "etcd", "digest": "sha256:" + "0" * 64},
        "pools": [{"name": "master", "roles": ["master"], "count": 1}],
        "hosts": [{"name": "m1", "pool": "master", "roles": ["master"], "slot": 0}],
        "dataRoot": "/var/lib/sealer/data",
        **more,
    }
    return Accepted.model_validate(raw)


def test_spec() -> None:
    spec = LocalDriver().parse_spec(accepted(network={"cidr": "10.9.8.0/24", "public": "none"}))
    assert spec.cidr == "10.9.8.0/24"
    assert [h.name for h in spec.hosts] == ["m1"]
    assert LocalDriver().parse_spec(accepted()).cidr is None


def pool(**more: object) -> list[dict[str, object]]:
    return [{"name": "master", "roles": ["master"], "count": 1, **more}]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"pools": pool(cpu=4)}, "cpu of pool master"),
        ({"pools": pool(memory=8)}, "memory of pool master"),
        ({"pools": pool(systemDisk=40)}, "systemDisk of pool master"),
        ({"pools": pool(dataDisks=[10])}, "dataDisks of pool master"),
        ({"network": {"vpc": "vpc-1"}}, "network.vpc"),
        ({"network": {"subnets": ["a"]}}, "network.subnets"),
        ({"network": {"cidr": 5}}, "network.cidr"),
        ({"network": {"cidr": "10.0.0.0/30"}}, "network.cidr"),
        ({"expiresAt": "2027-01-01T00:00:00Z"}, "ttl"),
    ],
)
def test_what_local_cannot_serve_is_named(more: dict[str, object], key: str) -> None:
    with pytest.raises(UsageError, match=key):
        LocalDriver().parse_spec(accepted(**more))


# ---------------------------------------------------------------- records, locks, checks


def test_records_round_trip_and_refuse_newer(tmp_path: Path) -> None:
    place = Place(CID, LocalPaths(sshd=tmp_path, records=tmp_path))
    place.folder.mkdir()
    assert read_network_record(place) is None
    state = NetworkState(CID, "10.213.1.0/24", "10.213.1.1")
    write_network_record(place, state)
    assert read_network_record(place) == state
    place.network_file.write_text('{"schemaVersion": 2}')
    with pytest.raises(PreconditionError, match="newer"):
        read_network_record(place)
    place.network_file.write_text("{")
    with pytest.raises(PreconditionError, match="cannot be read"):
        read_network_record(place)


def test_lock_is_exclusive_between_threads_and_leaves_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with folder_lock(folder, make=True) as there:
        assert there
        with pytest.raises(LockedError, match="another process"), folder_lock(folder, seconds=0.05):
            pass
    assert list(folder.iterdir()) == []


def test_lock_of_what_is_not_there(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "none") as there:
        assert not there


def test_lock_on_a_removed_folder_is_taken_on_the_new_one(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    taken: list[int] = []

    def second() -> None:
        with folder_lock(folder, make=True):
            taken.append(folder.stat().st_ino)

    with folder_lock(folder):
        thread = threading.Thread(target=second)
        thread.start()
        folder.rmdir()
    thread.join(10)
    assert taken == [folder.stat().st_ino]


def test_checks_have_hints_and_change_nothing(tmp_path: Path) -> None:
    paths = LocalPaths(sshd=tmp_path / "none", records=tmp_path / "records", run=tmp_path / "run")
    checks = {c.name: c for c in check_machine(paths)}
    assert list(checks) == ["root", "tools", "overlay", "cgroups", "sshd", "disk"]
    assert all(c.ok or c.hint for c in checks.values())
    assert [c.name for c in check_room(paths, None)] == ["space", "subnet"]
    assert list(tmp_path.iterdir()) == []


def test_a_covered_pool_stops_only_a_new_cluster_without_a_subnet_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    routes = [{"dst": "10.213.0.0/16", "dev": "vpn0"}]
    monkeypatch.setattr("drivers.local.ip.query", lambda *_: routes)
    monkeypatch.setattr("drivers.local.checks.FREE_BYTES", 1 << 62)
    driver = LocalDriver(LocalPaths(sshd=tmp_path / "none", records=tmp_path / "records", run=tmp_path / "run"))

    def failing(*, standing: bool = False, **more: object) -> set[str]:
        spec = driver.parse_spec(accepted(**more))
        return {c.name for c in driver.check(spec, standing=standing) if not c.ok} & {"space", "subnet"}

    assert failing() == {"space", "subnet"}
    assert failing(standing=True) == set()
    assert failing(network={"cidr": "10.9.8.0/24"}) == {"space"}
    assert failing(network={"cidr": "10.213.7.0/24"}) == {"space", "subnet"}
    assert {c.name for c in driver.check()} >= {"space", "subnet"}


# ---------------------------------------------------------------- shell scripts

SCRIPTS = sorted(Path(etchosts.__file__).parent.rglob("*.sh"))


@pytest.mark.parametrize("shell", [["dash"], ["bash", "--posix"], ["busybox"]], ids=lambda s: s[0])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_scripts_parse_in_every_shell(script: Path, shell: list[str], busybox: str) -> None:
    program = f"{busybox}/sh" if shell[0] == "busybox" else shutil.which(shell[0])
    subprocess.run([str(program), *shell[1:], "-n", str(script)], check=True, timeout=10)


def test_guest_imports_no_heavy_module() -> None:
    """Each host's boot pays for them."""
    code = "import sys; from drivers.local.guest import boot; print([m for m in ('re', 'typing', 'pathlib') if m in sys.modules])"
    root = Path(etchosts.__file__).parents[2]
    argv = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(root)!r}); {code}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30, env={"PATH": os.defpath})
    assert done.stdout.strip() == "[]"
