"""Opening verified asyncssh connections: pins, one login key, at most one host on the way. Errors become ours here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

from provisioner.errors import AccessError, HostError, HostKeyError
from provisioner.model.hosts import ClusterKeys, InventoryHost, Jump, SshTarget
from provisioner.transport.hostkeys import is_fingerprint, pins_of, pins_of_jump

# AES-GCM costs half of the default ChaCha20 on every processor with AES instructions; it stays for those without.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr")
KEEPALIVE_COUNT = 4
CLOSE_SECONDS = 2.0
ALGORITHMS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
"""What a host is asked for, one kind after the other, where its pin is a fingerprint and does not say its kind."""
ANOTHER_KIND = (
    asyncssh.HostKeyNotVerifiable,
    asyncssh.KeyExchangeFailed,
    asyncssh.ConnectionLost,
    ConnectionResetError,
)
"""How a try ends whose kind of key the host does not have, or has another one of: some hang up before we do."""

Release = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """One leg: who (for people), where, its pins, and the login key with the words for it."""

    name: str
    what: str
    target: SshTarget
    pins: tuple[str, ...]
    login: asyncssh.SSHKey
    login_name: str

    def __str__(self) -> str:
        """How messages begin."""
        return f"{self.what} ({self.target.host} port {self.target.port})"


@dataclass(frozen=True, slots=True)
class Dialled:
    """An open connection, what to call once it is closed, and the keys that the host and the one on the way showed."""

    connection: asyncssh.SSHClientConnection
    release: Release
    host_key: str
    way_key: str = ""


def shown_key(connection: asyncssh.SSHClientConnection) -> str:
    """The key that a connection was opened with, as `<type> <base64>`."""
    key = connection.get_server_host_key()
    return " ".join(key.export_public_key().decode().split()[:2]) if key else ""


class Dialer:
    """Opens connections; hosts behind one and the same host share the connection to that one."""

    def __init__(self, timeout: float, keepalive: float) -> None:
        self._options = {
            "known_hosts": None,  # always replaced by an explicit list: None would connect unchecked
            "config": None,
            "preferred_auth": "publickey",
            "agent_path": None,
            "agent_forwarding": False,
            "gss_host": None,
            "encryption_algs": list(CIPHERS),
            "compression_algs": None,
            "keepalive_interval": keepalive,
            "keepalive_count_max": KEEPALIVE_COUNT,
            "connect_timeout": timeout,
            "login_timeout": timeout,
        }
        self._tunnels = Tunnels()
        self._logins: dict[ClusterKeys, asyncssh.SSHKey] = {}

    async def dial(self, host: InventoryHost, keys: ClusterKeys) -> Dialled:
        """Connect, through the host on the way where there is one. Raises HostError (7); AccessError (5) for a key file."""
        pins = pins_of(host)
        login, login_name = await self._login(host.identity, keys)
        route = Route(host.name, host.name, host.ssh, pins, login, login_name)
        if host.jump is None:
            connection = await self._open(route, None)
            return Dialled(connection, _nothing, shown_key(connection))
        way = await self._way(host, host.jump, keys)
        key = (asyncio.get_running_loop(), way.target, way.pins, way.login.public_data)
        tunnel = await self._tunnels.take(key, lambda: self._open(way, None))
        try:
            connection = await self._open(route, tunnel.connection)
            return Dialled(connection, tunnel.give, shown_key(connection), shown_key(tunnel.connection))
        except BaseException:
            await tunnel.give()
            raise

    async def _way(self, host: InventoryHost, jump: Jump, keys: ClusterKeys) -> Route:
        pins = pins_of_jump(jump, host.name)
        login, login_name = await self._login(jump.identity or host.identity, keys)
        return Route(host.name, f"{host.name}: the host on the way to it", jump.target, pins, login, login_name)

    async def _login(self, identity: str | None, keys: ClusterKeys) -> tuple[asyncssh.SSHKey, str]:
        if identity is not None:
            return await asyncio.to_thread(read_identity, Path(identity)), f"the key {identity}"
        if keys not in self._logins:
            self._logins[keys] = _cluster_key(keys)
        return self._logins[keys], "the cluster's login key"

    async def _open(self, route: Route, tunnel: asyncssh.SSHClientConnection | None) -> asyncssh.SSHClientConnection:
        error: HostError | None = None
        for algorithms in _algorithms(route.pins):
            try:
                return await self._try(route, tunnel, algorithms)
            except HostError as refused:
                error = refused if error is None or isinstance(refused, HostKeyError) else error
                if not isinstance(refused.__cause__, ANOTHER_KIND):
                    raise
        raise error or HostError(
            f"{route} cannot be reached",
            host=route.name,
            hint="check the address, the network and what stands between; then run the same command again",
        )

    async def _try(
        self, route: Route, tunnel: asyncssh.SSHClientConnection | None, algorithms: tuple[str, ...]
    ) -> asyncssh.SSHClientConnection:
        verifier = _Verifier(frozenset(pin for pin in route.pins if is_fingerprint(pin)))
        options: dict[str, Any] = {
            **self._options,
            "username": route.target.user,
            "known_hosts": (_trusted(route), [], []),
            "client_keys": [route.login],
            "client_factory": lambda: verifier,
            "server_host_key_algs": algorithms,
        }
        if tunnel is not None:
            options["tunnel"] = tunnel
        try:
            return await asyncssh.connect(route.target.host, route.target.port, **options)
        except (asyncssh.Error, OSError, TimeoutError) as error:
            raise to_host_error(error, route, verifier.refused) from error


class _Verifier(asyncssh.SSHClient):
    """Asked about a key that is not among the trusted ones: good where its fingerprint is pinned."""

    def __init__(self, fingerprints: frozenset[str]) -> None:
        self._fingerprints = fingerprints
        self.refused = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        fingerprint = key.get_fingerprint()
        if fingerprint in self._fingerprints:
            return True
        self.refused = fingerprint
        return False


class Tunnel:
    """One connection that others go through; closed when the last of them is."""

    def __init__(self, opening: asyncio.Future[asyncssh.SSHClientConnection], forget: Callable[[Tunnel], None]) -> None:
        self.opening = opening
        self.users = 0
        self._forget = forget

    @property
    def connection(self) -> asyncssh.SSHClientConnection:
        """The open connection."""
        return self.opening.result()

    @property
    def dead(self) -> bool:
        """True once it cannot carry anybody any more."""
        if not self.opening.done():
            return False
        return self.opening.cancelled() or self.opening.exception() is not None or self.connection.is_closed()

    async def give(self) -> None:
        """Not needed any more by one of its users; never raises."""
        self.users -= 1
        if self.users:
            return
        self._forget(self)
        if not self.opening.done():
            self.opening.cancel()
        elif not self.opening.cancelled() and self.opening.exception() is None:
            await close_quietly(self.connection)


class Tunnels:
    """Open tunnels by what they lead to; whoever asks while one is being opened waits for that one."""

    def __init__(self) -> None:
        self._open: dict[object, Tunnel] = {}

    async def take(self, key: object, dial: Callable[[], Coroutine[Any, Any, asyncssh.SSHClientConnection]]) -> Tunnel:
        """A tunnel that is open; its user gives it back. Raises what `dial` raises."""
        tunnel = self._open.get(key)
        if tunnel is None or tunnel.dead:
            tunnel = self._open[key] = Tunnel(asyncio.ensure_future(dial()), lambda it: self._drop(key, it))
        tunnel.users += 1
        try:
            await asyncio.shield(tunnel.opening)
        except BaseException:
            await tunnel.give()
            raise
        return tunnel

    def _drop(self, key: object, tunnel: Tunnel) -> None:
        if self._open.get(key) is tunnel:
            del self._open[key]


async def close_quietly(connection: asyncssh.SSHClientConnection) -> None:
    """Close within two seconds, by force if need be; never raises."""
    connection.close()
    try:
        await asyncio.wait_for(connection.wait_closed(), CLOSE_SECONDS)
    except (asyncssh.Error, OSError, TimeoutError):
        connection.abort()


def read_identity(path: Path) -> asyncssh.SSHKey:
    """A person's private key. Raises AccessError (5): not there, no key, or locked by a passphrase."""
    try:
        return asyncssh.import_private_key(path.expanduser().read_bytes())
    except OSError as error:
        raise AccessError(f"the private key {path} cannot be read: {error.strerror}", hint="check the path") from error
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        if "passphrase" in str(error).lower():
            raise AccessError(
                f"the private key {path} is protected by a passphrase",
                hint="use a key without one (`ssh-keygen -p` takes it away); agents are not asked",
            ) from error
        # The exception's text could quote the key: only our words go on.
        raise AccessError(
            f"{path} is no private key that SSH knows", hint="give the private half, not `.pub`"
        ) from None


def to_host_error(error: Exception, route: Route, refused: str = "") -> HostError:
    """The one table from asyncssh's and the system's errors to ours. `refused` is the fingerprint that was shown."""
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        shown = f": {refused}" if refused else ""
        return HostKeyError(
            f"{route} showed another key than the pinned one{shown}",
            host=route.name,
            hint="another machine answers at this address; nothing was sent to it",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return HostError(
            f"{route} refused {route.login_name} for user {route.target.user}",
            host=route.name,
            hint="check the user and the login key: --user and --identity, or `ssh` in the Infra document",
        )
    if isinstance(error, ConnectionRefusedError):
        return HostError(f"{route} refused the connection", host=route.name, hint="is its SSH server running?")
    if isinstance(error, TimeoutError):
        return HostError(f"{route} did not answer in time", host=route.name, hint="is the machine up and reachable?")
    text = str(error).split("\n", 1)[0][:200]
    return HostError(
        f"{route} cannot be reached: {text or type(error).__name__}",
        host=route.name,
        hint="check the address, the network and what stands between; then run the same command again",
    )


def _algorithms(pins: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Kinds of keys to ask for, per try. None: those of the trusted keys, as asyncssh does by itself."""
    return ALGORITHMS if any(is_fingerprint(pin) for pin in pins) else ((),)


def _trusted(route: Route) -> list[asyncssh.SSHKey]:
    try:
        return [asyncssh.import_public_key(pin) for pin in route.pins if not is_fingerprint(pin)]
    except asyncssh.KeyImportError as error:
        raise HostError(
            f"the pinned key of {route.what} is no public key",
            host=route.name,
            hint="correct hostKeys: a line of ssh-keyscan, or its SHA256:… fingerprint",
        ) from error


def _cluster_key(keys: ClusterKeys) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(keys.login_private.reveal())
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        # The exception's text could quote the key: only our words go on.
        raise HostError(
            "the cluster's login key cannot be read",
            hint="the state is damaged: `sealer-cloud status` says what stands, `sealer-cloud adopt` takes it over anew",
        ) from error


async def _nothing() -> None:
    """No tunnel to give back."""
