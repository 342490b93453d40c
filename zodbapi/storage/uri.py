"""Storages that zodburi knows: ``file:// zeo:// zconfig:// demo: neo://``.

In: a URI. Out: the storage that it names. Apart from the rest because it loads ZEO and ZConfig.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from ZConfig import ConfigurationError
from ZEO.ClientStorage import ClientStorage
from zodburi import NoResolverForScheme, resolve_uri

from zodbapi import errors

_OWN_DEFAULTS = (("cache_size", 10_000), ("pool_size", 7))  # zodburi's: nobody asked for them


def open_uri(uri: str, *, server_sync: bool) -> tuple[Any, dict[str, Any]]:
    """The storage, and the settings for ``ZODB.DB`` that the URI names."""
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
    storage = factory()
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
