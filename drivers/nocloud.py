"""What providers without an account answer to the questions that only clouds have answers to."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Choice, EngineNeeds, Refused, Survey
from provisioner.model.ids import ClusterId


class NoCloud:
    """No region, no credentials, nothing to choose, nothing bought: the base of `local` and `baremetal`."""

    def region(self) -> str | None:
        """None: there are no regions."""
        return None

    def needs(self) -> EngineNeeds:
        """Nothing: our own plugin is always there."""
        return EngineNeeds()

    def choose(
        self,
        accepted: Accepted,  # noqa: ARG002 - the seam's
        cid: ClusterId | None,  # noqa: ARG002
        refused: tuple[Refused, ...] = (),  # noqa: ARG002
        *,
        standing: frozenset[str],  # noqa: ARG002
    ) -> Choice:
        """Nothing to choose."""
        return Choice({})

    def orphans(self, cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:  # noqa: ARG002 - the seam's
        """None: our plugin's create adopts what lies there."""
        return {}

    def survey(self, regions: tuple[str, ...] = ()) -> Survey:  # noqa: ARG002 - the seam's
        """Nothing that anybody pays for."""
        return Survey(())

    def permissions(self) -> str:
        """None needed."""
        return ""

    def diagnose(self, region: str, machine_id: str) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """Nobody to ask."""
        return ()
