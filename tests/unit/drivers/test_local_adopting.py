"""Reading a lost cluster from its hosts' disks, and a new login key on them: no link of a host is ever followed."""

import pytest

from drivers.local.adopting import admit, kept_records
from drivers.local.names import LocalPaths, place_of
from drivers.local.state import HostRecord, disk_of, read_host_record, write_host_record
from provisioner.errors import PreconditionError
from provisioner.model.ids import ClusterId, HostName

CID = ClusterId("app-abc234")
M1 = HostName("m1")
OLD = "ssh-ed25519 AAAAold sealer-cloud:app-abc234"


@pytest.fixture
def paths(tmp_path):
    paths = LocalPaths(tmp_path / "sshd", tmp_path / "records", tmp_path / "run", tmp_path / "netns")
    place = place_of(CID, paths)
    (disk_of(place, M1) / "upper").mkdir(parents=True)
    (disk_of(place, M1) / "real/var-lib-sealer-cloud").mkdir(parents=True)
    write_host_record(place, HostRecord(M1, 0, "10.213.0.10", "ssh-ed25519 AAAAhost", "machine", OLD))
    return paths


def disk(paths):
    return disk_of(place_of(CID, paths), M1)


def test_a_new_login_key_takes_the_place_of_the_lost_one_and_of_no_other(paths):
    keys = disk(paths).joinpath("upper", "root", ".ssh")
    keys.mkdir(parents=True)
    (keys / "authorized_keys").write_text(f"{OLD}\nssh-ed25519 AAAAfriend\n")
    first, second = admit(CID, paths), admit(CID, paths)
    assert (keys / "authorized_keys").read_text() == f"{second.public}\nssh-ed25519 AAAAfriend\n"
    assert (keys / "authorized_keys").stat().st_mode & 0o777 == 0o600
    assert read_host_record(place_of(CID, paths), M1).login_public == second.public != first.public


@pytest.mark.parametrize("link", ["root", "root/.ssh"])
def test_a_link_of_the_host_is_not_followed_when_a_key_is_laid(paths, tmp_path, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    (disk(paths) / "upper" / link).parent.mkdir(parents=True, exist_ok=True)
    (disk(paths) / "upper" / link).symlink_to(outside)
    with pytest.raises(PreconditionError, match="m1 cannot be given a login key"):
        admit(CID, paths)
    assert list(outside.iterdir()) == []
    assert read_host_record(place_of(CID, paths), M1).login_public == OLD


def test_what_was_given_before_a_host_refused_is_said_and_given_anew(paths, tmp_path):
    place, m2 = place_of(CID, paths), HostName("m2")
    (disk_of(place, m2) / "upper").mkdir(parents=True)
    (disk_of(place, m2) / "upper/root").symlink_to(tmp_path)
    write_host_record(place, HostRecord(m2, 1, "10.213.0.11", "ssh-ed25519 AAAAhost2", "machine2", OLD))
    with pytest.raises(PreconditionError, match="m2 cannot be given a login key") as told:
        admit(CID, paths)
    assert (
        told.value.hint
        == "is .ssh of the host's root a link? mend it, then run the same `adopt`; a new key lies on m1 already"
    )
    (disk_of(place, m2) / "upper/root").unlink()
    login = admit(CID, paths)
    for name in (M1, m2):
        (keys,) = (disk_of(place, name) / "upper").rglob("authorized_keys")
        assert keys.read_text() == f"{login.public}\n"


def test_what_a_host_keeps_is_a_plain_file_of_its_own_or_nothing(paths, tmp_path):
    assert kept_records(CID, paths) == {M1: b""}
    folder = disk(paths) / "real/var-lib-sealer-cloud" / CID
    folder.mkdir()
    (folder / "cluster.json").write_bytes(b"{}\n")
    assert kept_records(CID, paths) == {M1: b"{}\n"}
    (folder / "cluster.json").unlink()
    (tmp_path / "secret").write_text("of this machine")
    (folder / "cluster.json").symlink_to(tmp_path / "secret")
    assert kept_records(CID, paths) == {M1: b""}
