"""What `image build|ls|inspect|rm` do with the store."""

from __future__ import annotations

from pathlib import Path

from provisioner.cli.jsonout import image_to_json, images_to_json, removed_to_json
from provisioner.cli.live import View
from provisioner.cli.run import Session
from provisioner.cli.text import Lines, escape, short_digest, size
from provisioner.cli.views import table_lines
from provisioner.cli.world import build_world, open_images
from provisioner.clock import SystemClock
from provisioner.errors import UsageError
from provisioner.events import Phase, PhaseDone, PhaseStarted, Progress, ignore
from provisioner.image.build import DEFAULT_KUBEFILE, BuildRequest, build_image
from provisioner.image.store import ImageRow, ImageStore
from provisioner.model.ids import Digest
from provisioner.model.images import PinnedImage
from provisioner.stop import Stop

EPOCH = "SOURCE_DATE_EPOCH"
_SAID_EVERY = 1 << 20
"""Bytes between two progress events: a context of many small files would flood the screen's lock."""


def run_build(session: Session, tag: str, kubefile: str | None, context: str) -> int:
    """`image build`. Raises as `build_image` does."""
    store = open_images(session.settings)
    path = Path(kubefile) if kubefile else Path(context) / DEFAULT_KUBEFILE
    with View(session.screen) as view:
        image = _build(view, BuildRequest(path, Path(context), tag, epoch=_epoch(session)), store)
    screen = session.screen
    if screen.look.machine:
        screen.document(image_to_json(store.inspect(image.reference)))
    else:
        screen.print([image.reference if screen.look.output == "name" else f"{image.reference} {image.digest}"])
    return 0


def run_list(session: Session) -> int:
    """`image ls`."""
    rows = open_images(session.settings).list()
    screen = session.screen
    if screen.look.machine:
        screen.document(images_to_json(rows))
    elif screen.look.output == "name":
        screen.print(_name(row) for row in rows)
    elif rows:
        screen.print(_table(rows, wide=screen.look.output == "wide"))
    else:
        screen.say("No images; `sealer-cloud image build -t NAME:TAG CONTEXT` makes one")
    return 0


def run_inspect(session: Session, reference: str) -> int:
    """`image inspect`: YAML for a person, JSON for a program."""
    screen = session.screen
    detail = open_images(session.settings).inspect(reference)
    if screen.look.output == "name":
        screen.print([detail.image.reference])
    else:
        screen.document(image_to_json(detail))
    return 0


def run_remove(session: Session, reference: str, *, force: bool) -> int:
    """`image rm`. Raises UsageError (3) for an image that a cluster runs, unless `force`."""
    in_use = {} if force else _running(session)
    removed = open_images(session.settings).remove(reference, in_use, force=force)
    screen = session.screen
    if screen.look.machine:
        screen.document(removed_to_json(removed))
    elif screen.look.output == "name":
        screen.print([removed.name])
    else:
        gone = f"{removed.name} and its image are gone, {size(removed.freed)} freed"
        screen.print([gone if removed.gone else f"{removed.name} is gone; the image has other names"])
    return 0


def _build(view: View, request: BuildRequest, store: ImageStore) -> PinnedImage:
    clock = SystemClock()
    started = clock.monotonic()
    view.take(PhaseStarted(Phase.BUILD))
    said = -_SAID_EVERY

    def progress(done: int, total: int) -> None:
        nonlocal said
        if done - said >= _SAID_EVERY or done == total:
            said = done
            view.take(Progress(Phase.BUILD, f"{size(done)} of {size(total)}", done / total if total else 1.0))

    image = build_image(request, store, progress)
    text = f"{image.reference} {short_digest(image.digest)} {size(image.size)}"
    view.take(PhaseDone(Phase.BUILD, text, clock.monotonic() - started))
    return image


def _running(session: Session) -> dict[Digest, str]:
    """Digests that clusters of this state folder run, with the names of those."""
    engine = build_world(session.settings, ignore, Stop()).engine
    states = (engine.stored(name) for name in engine.names())
    return {Digest(s.accepted.image.digest): s.cluster for s in states if s and s.accepted}


def _epoch(session: Session) -> int:
    """The time of every file. Raises UsageError for a SOURCE_DATE_EPOCH that is no number."""
    text = session.settings.environ.get(EPOCH) or "0"
    if not text.isdecimal():
        raise UsageError(
            f"${EPOCH} is {text!r}, which is no number of seconds", hint="set it like 1767225600, or unset it"
        )
    return int(text)


def _name(row: ImageRow) -> str:
    return f"{row.repository}:{row.tag}" if row.tag else f"{row.repository}@{row.digest}"


def _table(rows: tuple[ImageRow, ...], *, wide: bool) -> Lines:
    """The PROBLEM column is there only where there is one."""
    broken = any(row.problem for row in rows)
    head = ("NAME", "TAG", "DIGEST", "SIZE", *(("ARCH",) if wide else ()), *(("PROBLEM",) if broken else ()))
    return table_lines(head, [_cells(row, wide=wide, broken=broken) for row in rows])


def _cells(row: ImageRow, *, wide: bool, broken: bool) -> tuple[str, ...]:
    arch = (row.arch or "-",) if wide else ()
    problem = (escape(row.problem),) if broken else ()
    digest = row.digest if wide else short_digest(row.digest)
    return (row.repository, row.tag or "<none>", digest, size(row.size), *arch, *problem)
