"""Runs the view of a request again when its transaction loses against another one.

In: ``"django_zodb.middleware.RetryMiddleware"`` in MIDDLEWARE, at any place. Out: fewer responses with status 500.

A view is run again if nothing of its first run is left: its method is safe (GET, HEAD, OPTIONS, TRACE), or it is wrapped in a
transaction by ATOMIC_REQUESTS of exactly one database. Nothing of this thread may have been committed since it began. Only the
view runs again, not the middleware around it, which sees one request and one response.

What a view does outside the database happens again too. ``on_commit`` callbacks run once, for the run that commits. The
content of a streaming response is made after the view has returned and its transaction has ended: a conflict there is not
seen here. A view that has read the body of its request as a stream is not run again, for the stream is gone.
"""

from __future__ import annotations

import time
from inspect import iscoroutinefunction
from typing import Any

from asgiref.sync import async_to_sync
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.http import HttpRequest, HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from django_zodb.transaction import ATTEMPTS, commits, is_conflict, pause

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class RetryMiddleware(MiddlewareMixin):
    """Middleware that repeats views; subclass it to change how often."""

    attempts = ATTEMPTS

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> None:
        """Notes what was committed before the view ran."""
        request.zodb_commits = commits()  # type: ignore[attr-defined]

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """The response of another run, if there may be one."""
        match = request.resolver_match
        if match is None or not is_conflict(exception) or not self._may_repeat(request, match.func):
            return None
        view = BaseHandler().make_view_atomic(match.func)
        if iscoroutinefunction(view):
            view = async_to_sync(view)
        for number in range(1, self.attempts):
            time.sleep(pause(number))
            for files in getattr(request, "_files", {}).values():
                files.seek(0)
            try:
                response: HttpResponseBase = view(request, *match.args, **match.kwargs)
                return response
            except Exception as error:
                if number + 1 == self.attempts or not is_conflict(error) or _has_committed(request):
                    raise
        return None

    def _may_repeat(self, request: HttpRequest, view: Any) -> bool:
        if _has_committed(request) or _is_body_gone(request):
            return False
        if request.method in SAFE:
            return True
        atomic = {alias for alias, settings in connections.settings.items() if settings["ATOMIC_REQUESTS"]}
        return len(atomic) == 1 and not atomic & getattr(view, "_non_atomic_requests", set())


def _has_committed(request: HttpRequest) -> bool:
    before: dict[str, int] = request.zodb_commits  # type: ignore[attr-defined]
    return any(count != before.get(alias, 0) for alias, count in commits().items())


def _is_body_gone(request: Any) -> bool:
    """Whether the body was read as a stream, and not by Django into a form or into memory."""
    is_form = request.content_type == "multipart/form-data" and hasattr(request, "_post")
    return bool(request._read_started) and not hasattr(request, "_body") and not is_form
