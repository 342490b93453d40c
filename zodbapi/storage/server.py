"""A ZEO server on a database file, for processes that open ``zeo://HOST:PORT``.

In: a path and an address. Out: a process that serves until it is told to stop.

The server is ZEO's own program (``ZEO.runzeo``), configured by a text as its users write it; what differs is said at the
overriding methods. Whoever reaches a ZEO server may read and write everything in it, so an address that other machines
reach is refused unless TLS with client certificates guards it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from zc.lockfile import LockError
from ZEO.runzeo import ZEOOptions, ZEOServer

from zodbapi import errors
from zodbapi.storage.failures import translated
from zodbapi.storage.untrusted_file import UntrustedFile

Address = tuple[str, int] | str  # (host, port), or the path of a Unix socket


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files for TLS: the server's certificate and key, and the authority (or folder of them) that clients' certificates need."""

    certificate: str
    authority: str
    key: str | None = None


def serve(
    path: str,
    address: str,
    certificates: Certificates | None = None,
    blob_dir: str | None = None,
    starting: Callable[[str], None] = lambda shown: None,
    running: Callable[[str], None] = lambda shown: None,
) -> NoReturn:
    """Serves the file until SIGINT or SIGTERM; calls ``starting`` and ``running`` with the address as shown to people."""
    place = parse_address(address)
    if certificates is None and is_public(place):
        raise errors.ProgrammingError(
            f"{show_address(place)} can be reached from other machines: a public address needs a certificate and a "
            "certificate authority for TLS, for everyone who reaches a ZEO server may read and write the database"
        )
    place = free_port(place)
    if not Path(path).absolute().parent.is_dir():
        raise errors.OperationalError(
            f"unable to open database file: there is no directory {Path(path).absolute().parent}"
        )
    options = _Options()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(configuration(path, place, certificates, blob_dir))
        file.flush()
        options.realize(["-C", file.name], progname="runzeo")
    starting(show_address(place))
    try:
        with translated():
            _Server(options, lambda: running(show_address(place))).main()
    except LockError as exc:
        raise errors.OperationalError(f"database is locked: another process has {path} open") from exc
    sys.exit(0)


def parse_address(text: str) -> Address:
    """The address meant by ``HOST:PORT``, ``[IPV6]:PORT``, ``PORT``, or a path, which has a slash."""
    if "/" in text:
        return str(Path(text).absolute())
    host, colon, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise errors.ProgrammingError(
            f"not an address: {text!r} (HOST:PORT, or the path of a Unix socket with a slash in it)"
        )
    return (host.removeprefix("[").removesuffix("]") if colon else "127.0.0.1", int(port))


def show_address(address: Address) -> str:
    """The address as people write it."""
    if isinstance(address, str):
        return address
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_public(address: Address) -> bool:
    """Whether other machines may reach the address. An empty host is every interface."""
    if isinstance(address, str):
        return False
    return not all(ipaddress.ip_address(found[4][0]).is_loopback for found in _resolve(address))


def free_port(address: Address) -> Address:
    """The address with port 0 replaced by one that is free now, so that it can be told before the server listens."""
    if isinstance(address, str) or address[1] != 0:
        return address
    family, kind, _, _, place = _resolve(address)[0]
    with socket.socket(family, kind) as probe:
        probe.bind(place)
        return (address[0], probe.getsockname()[1])


def _resolve(address: tuple[str, int]) -> list[Any]:
    try:
        return socket.getaddrinfo(address[0] or None, address[1], type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as exc:
        raise errors.OperationalError(f"unknown host in the address {show_address(address)}: {exc}") from exc


def configuration(path: str, address: Address, certificates: Certificates | None, blob_dir: str | None = None) -> str:
    """The text that ``runzeo -C`` reads."""
    tls = ""
    if certificates is not None:
        key = f"key {_quote(certificates.key)}" if certificates.key else ""
        tls = (
            f"<ssl>\ncertificate {_quote(certificates.certificate)}\n{key}\n"
            f"authenticate {_quote(certificates.authority)}\n</ssl>"
        )
    blobs = f"blob-dir {_quote(os.path.abspath(blob_dir))}" if blob_dir else ""
    return (
        f"<zeo>\naddress {_quote(show_address(address))}\n{tls}\n</zeo>\n"
        f"<filestorage 1>\npath {_quote(os.path.abspath(path))}\n{blobs}\n</filestorage>\n"
    )


def _quote(value: str) -> str:
    """The value as it stands in a configuration, where a dollar sign begins a substitution and a line is a setting."""
    if "\n" in value or "\r" in value or value != value.strip():
        raise errors.ProgrammingError(f"a ZEO server cannot be given this name: {value!r}")
    return value.replace("$", "$$")


class _Options(ZEOOptions):  # type: ignore[misc]
    """ZEO's options; a wrong one is an error instead of a usage text of another program."""

    def usage(self, message: object) -> NoReturn:
        raise errors.OperationalError(str(message).strip())


class _ServedFile(UntrustedFile):
    """ZODB's own FileStorage, which keeps other processes out: the server alone knows what its clients have cached."""


class _Server(ZEOServer):  # type: ignore[misc]
    """ZEO's server program."""

    def __init__(self, options: Any, running: Callable[[], None]) -> None:
        super().__init__(options)
        self.running = running

    def setup_default_logging(self) -> None:
        """Logging is the business of the program that calls."""

    def open_storages(self) -> None:
        """The configured file, resolving conflicts of clients by the classes of a database only."""
        config = self.options.storages[0].config
        self.storages = {"1": _ServedFile(config.path, blob_dir=config.blob_dir)}

    def loop_forever(self) -> None:
        self.running()
        super().loop_forever()

    def handle_sigterm(self) -> None:
        """Ends the loop between two requests; ZEO's own way would end it within one."""
        self.server.acceptor.event_loop.call_soon_threadsafe(sys.exit, 0)

    handle_sigint = handle_sigterm
