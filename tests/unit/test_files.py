"""Local files and folders, whatever the caller's umask."""

import os

import pytest

from provisioner.errors import PreconditionError
from provisioner.files import private_folder


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request):
    old = os.umask(request.param)
    yield request.param
    os.umask(old)


@pytest.mark.usefixtures("umask")
def test_every_folder_that_is_made_is_private(tmp_path):
    private_folder(tmp_path / "a" / "b" / "c")
    modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c")]
    assert modes == [0o700] * 3


def test_parents_that_stand_keep_their_mode_and_a_loose_folder_is_tightened(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "mine").mkdir()
    (shared / "mine").chmod(0o777)
    private_folder(shared / "mine")
    assert [p.stat().st_mode & 0o777 for p in (shared, shared / "mine")] == [0o755, 0o700]


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(PreconditionError, match="cannot write"):
            private_folder(path)
