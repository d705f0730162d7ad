"""`pulumi-resource-sealer`: serve on loopback, say the port, end with the engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent import futures

import grpc

from provisioner.errors import SealerError
from provisioner.failpoints import failpoint_of
from provisioner.model.wire import to_wire
from provisioner.plugin.baremetal import BaremetalKind
from provisioner.plugin.gate import Gate
from provisioner.plugin.host import HostKind
from provisioner.plugin.hostidentity import HostIdentityKind
from provisioner.plugin.hostkey import HostKeyKind
from provisioner.plugin.intent import IntentKind
from provisioner.plugin.lifetime import Ending, leave_streams, recorded
from provisioner.plugin.machines import Machines, local_machines
from provisioner.plugin.network import NetworkKind
from provisioner.plugin.newcomers import Establish, diagnose_by_driver, establish_by_ssh
from provisioner.plugin.service import SealerProvider
from provisioner.plugin.stubs import provider_pb2_grpc
from provisioner.settings import plugin_failpoint, plugin_run_dir

WORKERS = 160
"""Hosts are made in parallel: as many as the engine asks for at once, and its own questions never wait behind them.

Threads are started as they are needed."""
MESSAGE_LIMIT = 64 << 20
DRAIN_SECONDS = 120.0
"""A running operation is bounded by its own deadlines; this bounds a bug in one."""
ANSWER_SECONDS = 2.0
"""For the answer of an operation that has just ended; without one the server stops at once."""


def make_server(provider: SealerProvider) -> tuple[grpc.Server, int]:
    """A server on a free loopback port, started; the port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(WORKERS, thread_name_prefix="call"),
        options=[
            ("grpc.max_receive_message_length", MESSAGE_LIMIT),
            ("grpc.max_send_message_length", MESSAGE_LIMIT),
            ("grpc.so_reuseport", 0),  # another process could otherwise take the same port and our calls
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def main() -> None:
    """`pulumi-resource-sealer`. The engine's address (argv) is not needed: we never call back."""
    try:
        serve(local_machines)
    except SealerError as error:  # before the port line: the engine shows this, and our side reads it back
        sys.stderr.write(f"{to_wire(error)}\n")
        raise SystemExit(error.exit_code) from error


def serve(machines: Callable[[], Machines], *, establish: Establish | None = None) -> None:
    """Serve until the engine ends or asks; running operations end, and are answered, first.

    `establish` meets new machines of clouds; by SSH unless told otherwise.
    """
    ending = Ending()
    gate = Gate()
    kinds = (
        IntentKind(),
        NetworkKind(machines),
        HostKind(machines),
        BaremetalKind(),
        HostKeyKind(),
        HostIdentityKind(establish or establish_by_ssh(lambda: gate.closed), diagnose_by_driver),
    )
    provider = SealerProvider(kinds, gate, failpoint_of(plugin_failpoint()))
    with recorded(plugin_run_dir()):
        server, port = make_server(provider)
        sys.stdout.write(f"{port}\n")  # the protocol: this line, and nothing else, ever
        sys.stdout.flush()
        leave_streams()
        ending.wait(provider.greeted)
        gate.close()
        gate.wait_idle(DRAIN_SECONDS)
        server.stop(ANSWER_SECONDS).wait()
