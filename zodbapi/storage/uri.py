"""Storages that zodburi knows: ``file:// zeo:// zconfig:// demo: neo://``.

In: a URI. Out: the storage that it names. Apart from the rest because it loads ZEO and ZConfig.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from zc.lockfile import LockError
from ZConfig import ConfigurationError
from ZEO.asyncio.client import ClientThread
from ZEO.asyncio.compat import new_event_loop
from ZEO.ClientStorage import ClientStorage
from zodburi import NoResolverForScheme, resolve_uri
from zodburi.resolvers import client_storage_resolver

from zodbapi import errors

_OWN_DEFAULTS = (("cache_size", 10_000), ("pool_size", 7))  # zodburi's: nobody asked for them


def open_uri(uri: str, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The storage, and the settings for ``ZODB.DB`` that the URI names; ``options`` are those of ``ZEO_OPTIONS``."""
    server_sync = options.pop("server_sync", True)
    query = parse_qs(urlsplit(uri).query)
    if uri.startswith("zeo:") and ("username" in query or "password" in query):
        raise errors.InterfaceError("ZEO knows no users and passwords: use TLS certificates, through zconfig:")
    try:
        factory, settings = resolve_uri(uri)
    except NoResolverForScheme as error:
        raise errors.OperationalError(f"unable to open database file: nothing is installed that opens {uri}") from error
    except (KeyError, ValueError, OSError, ConfigurationError) as error:
        raise errors.OperationalError(f"unable to open database file: {uri}: {error}") from error
    for name, default in _OWN_DEFAULTS:
        if settings.get(name) == default:
            del settings[name]
    storage = factory() if not options else _open_client(uri, options)
    if isinstance(storage, ClientStorage):
        _forget_oids_when_disconnected(storage)
        if server_sync:
            # Without a round trip at the begin, a transaction may miss what another process was told is committed.
            storage.server_sync, storage.sync = True, storage.ping
    return storage, settings


def _forget_oids_when_disconnected(storage: ClientStorage) -> None:
    """Never use object ids of before a restart: a server that was killed forgets them, and gives them to others again."""
    notify = storage.notify_disconnected

    def forget() -> None:
        storage._oids = []
        notify()

    storage.notify_disconnected = forget


class _ClientThread(ClientThread):  # type: ignore[misc]
    """ZEO's thread, whose loop lets connections go before it ends; ZEO leaves their sockets to the garbage collector."""

    def run_io_thread(self) -> None:
        self.loop = new_event_loop()
        close = self.loop.close

        def finish_and_close() -> None:
            self.loop.run_until_complete(_connections_gone(self.loop))
            close()

        self.loop.close = finish_and_close
        super().run_io_thread()


async def _connections_gone(loop: Any) -> None:
    """Wait for attempts to connect that were cancelled, and a second at most for the other side of a TLS connection."""
    connecting = asyncio.all_tasks() - {asyncio.current_task()}
    if connecting:
        await asyncio.wait(connecting, timeout=1)
    selector, last = getattr(loop, "_selector", None), loop.time() + 1
    await asyncio.sleep(0)
    while selector is not None and len(selector.get_map()) > 1 and loop.time() < last:  # one is the loop's own
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)  # a transport closes its socket one turn after it stopped reading


def _open_client(uri: str, options: dict[str, Any]) -> ClientStorage:
    """ZEO's client with options that a URI has no words for; what the URI says too counts less."""
    parts = urlsplit(uri)
    address = (parts.hostname or "", parts.port or 9991) if parts.netloc else os.path.normpath(parts.path)
    arguments, _settings = client_storage_resolver.interpret_kwargs(dict(parse_qsl(parts.query)))
    for name, word in (
        ("wait_timeout", "wait_timeout"),
        ("client_cache", "cache"),
        ("client_cache_size", "cache_size"),
    ):
        if name in options:
            arguments[word] = options[name]
    if "authority" in options:
        arguments["ssl"] = _tls(options)
        arguments["ssl_server_hostname"] = options.get("server_hostname")
    elif options.keys() & {"certificate", "key", "server_hostname"}:
        raise errors.InterfaceError("TLS needs the option authority: the file or folder of those whom to trust")
    try:
        return ClientStorage(address, _client_factory=_ClientThread, **arguments)
    except LockError as error:
        raise errors.OperationalError(
            f"another process uses the client cache {options.get('client_cache', '')}: each needs a file of its own"
        ) from error


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    authority = os.fspath(options["authority"])
    place = {"capath": authority} if os.path.isdir(authority) else {"cafile": authority}
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, **place)
        if "certificate" in options:
            context.load_cert_chain(options["certificate"], options.get("key"))
    except (OSError, ssl.SSLError) as error:
        raise errors.OperationalError(f"unable to read certificates: {error}") from error
    return context
