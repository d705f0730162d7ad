"""Print the seconds from the choice of machines to their inventory, for N machines that are records: stage 1 alone.

python benchmarks/stage1.py alicloud|aws N STATE_FOLDER IMAGE_ID

The engine, the cloud's plugin, the driver's choice and program are the product's; the first login is taken as answered
(answers.py). The environment names the simulated cloud.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.report import ROOT
from drivers.base import load_driver
from provisioner.events import ignore
from provisioner.infra.pulumi_engine import PulumiEngine
from provisioner.model.accepted import Accepted, AcceptedHost, AcceptedImage, AcceptedOsImage, AcceptedPool
from provisioner.model.driver import Marks, Surroundings
from provisioner.model.ids import ClusterId, ClusterName, RunId
from provisioner.settings import load_settings
from provisioner.stop import Stop
from stacks.program import build_program

NAME, CID, RUN = ClusterName("bench"), ClusterId("bench-abc234"), RunId("20261124T100000Z-abcdef")
POOLS = {
    "alicloud": {"cpu": 2, "memory": 4},
    "aws": {"instance_types": ("t3.medium",), "system_disk": 10},
}


def accepted(provider: str, count: int, image: str) -> Accepted:
    """What `up app:v1 --masters COUNT` accepts."""
    return Accepted(
        cluster=NAME,
        provider=provider,
        image=AcceptedImage(reference="app:v1", repository="app", digest=f"sha256:{'0' * 64}"),
        pools=(AcceptedPool(name="master", roles=("master",), count=count, **POOLS[provider]),),
        hosts=tuple(AcceptedHost(name=f"m{n + 1}", pool="master", roles=("master",), slot=n) for n in range(count)),
        data_root="/var/lib/sealer/data",
        os_image=AcceptedOsImage(id=image) if image else None,
    )


async def main() -> None:
    """Choose, preview, up: as `sealer-cloud up --only machines` does."""
    provider, count, state, image = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    settings = replace(load_settings(), state_dir=state)
    driver = load_driver(provider, Surroundings(settings.environ, settings.cache_dir, lambda: datetime.now(UTC)))
    plugin = (sys.executable, "-P", str(ROOT / "benchmarks" / "answers.py"))
    engine = PulumiEngine(settings, Stop(), plugin=plugin)
    request = accepted(provider, count, image)
    begun = time.monotonic()
    placement = driver.choose(request, None, standing=frozenset()).placement
    request = request.model_copy(update={"placement": placement})
    program = build_program(driver, driver.parse_spec(request), request, Marks(CID, RUN, None))
    await engine.preview(NAME, CID, program, ignore, driver.needs())
    made = await engine.up(NAME, CID, program, ignore, driver.needs())
    seconds = time.monotonic() - begun
    if len(made.hosts) != count:
        sys.exit(f"{len(made.hosts)} hosts of {count}")
    print(f"{seconds:.3f}")


if __name__ == "__main__":
    asyncio.run(main())
