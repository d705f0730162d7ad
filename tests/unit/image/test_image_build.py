from __future__ import annotations

import errno
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.errors import AccessError, ImageError, InvalidFileError, PreconditionError, UsageError
from provisioner.image import BuildRequest, ImageStore, build, build_image, limits
from provisioner.model.images import Entry, PinnedImage

Build = Callable[..., PinnedImage]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    root = tmp_path / "context"
    for name, mode in {
        "bin/tool": 0o700,
        "bin/helper": 0o640,
        "amd64/x": 0o755,
        "arm64/x": 0o755,
        "etc/app.conf.tmpl": 0o600,
        "scripts/init.sh": 0o4755,
        "a1.txt": 0o644,
        "a2.txt": 0o644,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(mode)
    return root


@pytest.fixture
def images(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", tmp_path / "cache")


@pytest.fixture
def made(tmp_path: Path, context: Path, images: ImageStore) -> Build:
    def made(*lines: str, arch: str = "amd64", epoch: int = 0) -> PinnedImage:
        (tmp_path / "Kubefile").write_text("\n".join(["FROM scratch", *lines]))
        return build_image(BuildRequest(tmp_path / "Kubefile", context, "app:v1", arch, epoch), images)

    return made


def entries(images: ImageStore, image: PinnedImage) -> dict[str, Entry]:
    return {entry.path: entry for entry in images.changeset(image).entries}


def paths(images: ImageStore, image: PinnedImage) -> list[str]:
    return sorted(entries(images, image))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["COPY a1.txt ."], ["a1.txt"]),
        (["COPY a1.txt /"], ["a1.txt"]),
        (["COPY a1.txt b"], ["b"]),
        (["COPY a1.txt b/"], ["b", "b/a1.txt"]),
        (["COPY a1.txt b/c"], ["b", "b/c"]),
        (["COPY bin b"], ["b", "b/helper", "b/tool"]),
        (["COPY bin/ ."], ["helper", "tool"]),
        (["COPY a1.txt a2.txt b/"], ["b", "b/a1.txt", "b/a2.txt"]),
        (["COPY a?.txt b/"], ["b", "b/a1.txt", "b/a2.txt"]),
        (["COPY [ab]1.txt b"], ["b"]),
        (["COPY */tool b/"], ["b", "b/tool"]),
        (["COPY ${ARCH} b"], ["b", "b/x"]),
        (["COPY $ARCH/x b"], ["b"]),
        (["COPY bin b", "COPY a1.txt b"], ["b", "b/a1.txt", "b/helper", "b/tool"]),
        (["COPY bin/tool b/x", "COPY a1.txt b/x"], ["b", "b/x"]),
    ],
)
def test_what_a_copy_means(images: ImageStore, made: Build, lines: list[str], expected: list[str]) -> None:
    assert paths(images, made(*lines)) == expected


def test_modes_follow_the_x_bit_and_links_stay_links(images: ImageStore, made: Build, context: Path) -> None:
    (context / "bin" / "out").symlink_to("/etc/../passwd")
    (context / "up").symlink_to("../../..")
    found = entries(images, made("COPY . ."))
    assert {path: oct(entry.mode) for path, entry in found.items() if entry.digest} == {
        "a1.txt": "0o644", "a2.txt": "0o644", "amd64/x": "0o755", "arm64/x": "0o755", "bin/helper": "0o644",
        "bin/tool": "0o755", "etc/app.conf.tmpl": "0o644", "scripts/init.sh": "0o755",
    }  # fmt: skip
    assert (found["bin/out"].target, found["up"].target) == ("/etc/../passwd", "../../..")
    assert found["etc"].mode == 0o755


def test_same_context_same_digest_whatever_times_owners_and_order(tmp_path: Path, made: Build, context: Path) -> None:
    first = made("COPY . .")
    shutil.copytree(context, tmp_path / "copy")
    shutil.rmtree(context)
    context.mkdir()
    for path in sorted((tmp_path / "copy").rglob("*"), reverse=True):
        if path.is_file():
            target = context / path.relative_to(tmp_path / "copy")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            os.utime(target, (1, 1))
    assert made("COPY . .") == first
    assert made("COPY . .", epoch=1_700_000_000).digest != first.digest
    (context / "a1.txt").write_text("changed")
    assert made("COPY . .").digest != first.digest


def test_one_layer_per_copy_and_the_pinned_values(images: ImageStore, made: Build) -> None:
    image = made('ENV A=1 B="x y"', "COPY bin bin", "LABEL k=v", "COPY etc etc", "CMD one", 'CMD ["two", "three"]')
    assert len(image.layers) == 2
    assert {layer.media_type for layer in image.layers} == {"application/vnd.oci.image.layer.v1.tar+zstd"}
    assert (image.env, image.labels, image.cmd) == ({"A": "1", "B": "x y"}, {"k": "v"}, ("one", "two", "three"))
    assert (image.arch, image.repository, image.reference) == ("amd64", "app", "app:v1")
    manifest = json.loads(images.blobs.path(image.digest).read_bytes())
    assert json.loads(manifest["annotations"]["sealer.image.extension"]) == {
        "schemaVersion": "v1alpha1",
        "type": "app-installer",
        "env": {"A": "1", "B": "x y"},
        "labels": {"k": "v"},
        "launch": {"cmds": ["one", "two", "three"], "app_names": []},
    }


def test_progress_counts_to_the_total(context: Path, tmp_path: Path, images: ImageStore) -> None:
    seen: list[tuple[int, int]] = []
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY . .\n")
    request = BuildRequest(tmp_path / "Kubefile", context, "app:v1", "amd64")
    build_image(request, images, lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == sum(p.stat().st_size for p in context.rglob("*") if p.is_file())


# Ignore files


def test_ignored_files_stay_out_and_sealerignore_wins(images: ImageStore, made: Build, context: Path) -> None:
    (context / ".dockerignore").write_text("scripts\n")
    assert "scripts/init.sh" not in paths(images, made("COPY . ."))
    (context / ".sealerignore").write_text("*\n!bin/tool\n!scripts\n")
    assert paths(images, made("COPY . .")) == ["bin", "bin/tool", "scripts", "scripts/init.sh"]


def test_an_ignored_source_is_a_problem(made: Build, context: Path) -> None:
    (context / ".dockerignore").write_text("bin\n")
    with pytest.raises(InvalidFileError, match="ignore file"):
        made("COPY bin b")


# Refused


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("COPY nothing .", "'nothing' is not in the context"),
        ("COPY bin/nothing .", "not in the context"),
        ("COPY a1.txt/x .", "not in the context"),
        ("COPY z* .", "nothing in the context matches"),
        ("COPY a?.txt z", "destination is a folder"),
        ("COPY */nothing z/", "nothing in the context matches"),
        ("COPY a1.txt b/tool/x", "is a file from an earlier COPY and would become a dir"),
        ("COPY clash/b b/tool", "is a file from an earlier COPY and would become a dir"),
        ('COPY ["bin", "b/tool/"]', "is a file from an earlier COPY"),
        ("COPY link/tool .", "leads through the link"),
        ("COPY fifo .", "device, fifo or socket"),
        ("COPY sock .", "device, fifo or socket"),
        ("COPY odd .", "control character"),
        ("COPY whiteout .", "whiteout"),
        ("COPY clash/a clash/b x/", "two sources"),
    ],
)
def test_sources_that_cannot_be_copied(made: Build, context: Path, images: ImageStore, line: str, match: str) -> None:
    (context / "link").symlink_to("bin")
    os.mkfifo(context / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(context)  # a socket's path is short
    listener.bind("sock")
    os.chdir(here)
    listener.close()
    for name in ("odd/a\nb", "whiteout/.wh.x", "clash/a/f", "clash/b/f/g"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text("x")
    with pytest.raises(InvalidFileError, match=match) as caught:
        made("COPY bin b", line)
    assert (caught.value.problems[0].line, caught.value.problems[0].key) == (3, "COPY")
    assert not images.root.exists()


def test_all_missing_sources_at_once(made: Build) -> None:
    with pytest.raises(InvalidFileError) as caught:
        made("COPY x .", "COPY bin .", "COPY y .")
    assert [problem.line for problem in caught.value.problems] == [2, 4]


def test_nothing_copied_is_no_image(made: Build) -> None:
    with pytest.raises(InvalidFileError, match="nothing is copied"):
        made("CMD true")


def test_nothing_is_written_through_a_link(made: Build, context: Path, images: ImageStore) -> None:
    (context / "d").mkdir()
    (context / "d" / "l").symlink_to("/etc")
    with pytest.raises(InvalidFileError, match="'l' is a symlink from an earlier COPY"):
        made("COPY d .", "COPY a1.txt l/x")
    assert images.list() == ()


def test_a_bomb_is_not_published(made: Build, context: Path, images: ImageStore) -> None:
    with (context / "zeros").open("wb") as file:
        file.truncate(limits.RATIO_FLOOR * 2)
    with pytest.raises(ImageError, match="decompression bomb") as caught:
        made("COPY zeros .")
    assert "init.sh" in caught.value.hint
    assert images.list() == ()


def test_a_file_that_changes_while_it_is_read(made: Build, context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = build._read_exactly
    for change in ("longer than it was", "s", ""):

        def changing(path: Path, size: int, change: str = change) -> object:
            path.write_text(change)
            return real(path, size)

        monkeypatch.setattr(build, "_read_exactly", changing)
        (context / "a1.txt").write_text("sized")
        with pytest.raises(UsageError, match="changed while"):
            made("COPY a1.txt .")


def test_a_full_disk(made: Build, images: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build._Sink, "_store", full)
    with pytest.raises(PreconditionError, match="No space left"):
        made("COPY . .")
    assert images.list() == ()
    assert list((images.root / "ingest").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(made: Build, context: Path) -> None:
    (context / "a1.txt").chmod(0)
    with pytest.raises(AccessError):
        made("COPY . .")


def test_a_missing_kubefile_is_named_by_its_whole_path(
    tmp_path: Path, images: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as told:
        build_image(BuildRequest(Path("Kubefile"), Path(), "app:v1"), images)
    assert told.value.message == f"there is no Kubefile at {tmp_path / 'Kubefile'}"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kubefile": Path("/nowhere/Kubefile")}, "no Kubefile"),
        ({"kubefile": Path("/")}, "no Kubefile"),
        ({"context": Path("/nowhere")}, "no folder"),
        ({"tag": "-x"}, "no image reference"),
        ({"tag": "app@sha256:" + "0" * 64}, "digest"),
        ({"arch": "../amd64"}, "no architecture"),
        ({"epoch": -1}, "SOURCE_DATE_EPOCH"),
    ],
)
def test_wrong_use(tmp_path: Path, context: Path, images: ImageStore, change: dict[str, object], match: str) -> None:
    (tmp_path / "Kubefile").write_text("FROM scratch\nCOPY . .\n")
    values: dict[str, object] = {
        "kubefile": tmp_path / "Kubefile",
        "context": context,
        "tag": "app:v1",
        "arch": "amd64",
    }
    with pytest.raises(UsageError, match=match):
        build_image(BuildRequest(**(values | change)), images)  # type: ignore[arg-type]
    assert not images.root.exists()


def test_the_example_builds(tmp_path: Path, images: ImageStore) -> None:
    """The etcd example's Kubefile over a stand-in for its context (its real one needs packages)."""
    kubefile = Path(__file__).parents[3] / "examples" / "etcd" / "Kubefile"
    for folder in ("bin", "etc", "scripts"):
        (tmp_path / "context" / folder).mkdir(parents=True)
        (tmp_path / "context" / folder / "file").write_text(folder)
    image = build_image(BuildRequest(kubefile, tmp_path / "context", "etcd:v1"), images)
    assert image.cmd == ("scripts/announce.sh",)
    assert image.labels["sealer-cloud.cmd.1"] == "repeat=per-image idempotent=true"
