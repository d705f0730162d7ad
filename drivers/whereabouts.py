"""Where the operator is: looked up at most once for each driver, and only where a rule needs him."""

from __future__ import annotations

from provisioner.model.accepted import Accepted
from provisioner.model.driver import Surroundings
from provisioner.model.ingress import demand_told, operator_cidr

SERVICE = "https://checkip.amazonaws.com/"
"""Amazon's own service: answers with the address that asks, in plain text. Alibaba Cloud has no documented one."""


class Whereabouts:
    """The operator's own network, as one driver knows it."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._known: str | None = None

    def network(self, accepted: Accepted) -> str:
        """As the variable says it, else as the service does: the same for as long as the driver lives.

        Raises UsageError (3) where nobody could look it up, PreconditionError (12) where nobody tells.
        """
        if self._known is None:
            demand_told(accepted, operator_cidr(self._around.environ))
            self._known = self._around.operator(SERVICE)
        return self._known
