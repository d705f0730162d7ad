"""What providers without an account answer to the questions that only clouds have answers to."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.errors import UsageError
from provisioner.model.accepted import Accepted
from provisioner.model.driver import Choice, EngineNeeds, FoundMachine, Refused, Survey, Visit
from provisioner.model.grammar import BOUGHT
from provisioner.model.ids import ClusterId
from provisioner.model.networks import NetworkPlan, Networks, NetworkWish, SharedNetwork, Tell


class NoCloud:
    """No region, no credentials, nothing to choose, nothing bought: the base of `local` and `baremetal`."""

    name: str

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

    def prices(
        self,
        accepted: Accepted,  # noqa: ARG002 - the seam's
        hosts: frozenset[str],  # noqa: ARG002
    ) -> Mapping[str, tuple[float, str]]:
        """Nothing is bought."""
        return {}

    def start(self, machine_ids: tuple[str, ...]) -> None:
        """Whatever is ours is started by the engine."""

    def strangers(self, region: str | None, cid: ClusterId) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """None: nobody else is in our networks."""
        return ()

    def inspect(self, cid: ClusterId) -> tuple[FoundMachine, ...]:  # noqa: ARG002 - the seam's
        """None: nobody but a state says which they are."""
        return ()

    def within(self, regions: tuple[str, ...]) -> None:
        """There are no regions."""

    def orphans(self, cid: ClusterId, known: frozenset[str]) -> Mapping[str, str]:  # noqa: ARG002 - the seam's
        """None: our plugin's create adopts what lies there."""
        return {}

    def end_strays(self, cid: ClusterId, known: frozenset[str]) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """None: our plugin makes nothing twice."""
        return ()

    def survey(self, regions: tuple[str, ...] = ()) -> Survey:  # noqa: ARG002 - the seam's
        """Nothing that anybody pays for."""
        return Survey(())

    def permissions(self) -> str:
        """None needed."""
        return ""

    def diagnose(self, region: str, machine_id: str) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """Nobody to ask."""
        return ()

    def let_in(self, accepted: Accepted, cid: ClusterId, visit: Visit) -> str:  # noqa: ARG002 - the seam's
        """Nothing: there is no firewall of ours."""
        return ""

    def networks(self, regions: tuple[str, ...] = (), name: str | None = None) -> Networks:  # noqa: ARG002 - the seam's
        """Refused: there is nothing to share."""
        raise self._no_networks()

    def plan_network(self, wish: NetworkWish) -> NetworkPlan:  # noqa: ARG002 - the seam's
        """Refused."""
        raise self._no_networks()

    def make_network(self, plan: NetworkPlan, tags: Mapping[str, str], tell: Tell) -> None:  # noqa: ARG002 - the seam's
        """Refused."""
        raise self._no_networks()

    def remove_network(self, network: SharedNetwork, tell: Tell) -> tuple[str, ...]:  # noqa: ARG002 - the seam's
        """Refused."""
        raise self._no_networks()

    def _no_networks(self) -> UsageError:
        return UsageError(
            f"provider {self.name} has no networks to share", hint=f"use --provider {' or '.join(BOUGHT)}"
        )
