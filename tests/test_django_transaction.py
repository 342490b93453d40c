"""django_zodb.transaction and .middleware: levels, tries, whole requests, with conflicts that really happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import NotSupportedError, OperationalError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import Client, TestCase, override_settings
from django.urls import path

import zodbapi
from django_zodb.base import DatabaseWrapper
from django_zodb.transaction import atomic, is_conflict, retry, retrying

pytestmark = pytest.mark.django_db(transaction=True)
Interfere = Callable[[], None]


@pytest.fixture
def interfere() -> Interfere:
    """Has another connection change what the test reads."""
    Group.objects.create(name="a")

    def change() -> None:
        with closing(zodbapi.connect(connection.dsn, autocommit=True)) as other:
            other.execute("UPDATE auth_group SET name = name || '!'")

    return change


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    RUNS.clear()
    connection.settings_dict["ATOMIC_REQUESTS"] = False
    connection.settings_dict["OPTIONS"] = {}
    connection.close()


def name() -> str:
    return Group.objects.get().name


# --- levels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "seen"), [(None, "a!"), ("READ COMMITTED", "a!"), ("SNAPSHOT", "a"), ("SERIALIZABLE", "a")]
)
def test_atomic_at_a_level(interfere: Interfere, level: str | None, seen: str) -> None:
    with atomic(isolation=level):
        name()
        interfere()
        assert name() == seen
        if level == "SERIALIZABLE":
            with pytest.raises(OperationalError, match="retry the transaction") as caught:
                Group.objects.create(name="b")
            assert is_conflict(caught.value)
    with transaction.atomic():
        name()
        interfere()
        assert name().endswith("!")


def test_a_level_belongs_to_the_outermost_block() -> None:
    with transaction.atomic():
        with pytest.raises(transaction.TransactionManagementError, match="READ COMMITTED, which cannot become SNAP"):
            atomic(isolation="SNAPSHOT").__enter__()
        with atomic(isolation="READ COMMITTED"):
            pass
    with atomic(isolation="SERIALIZABLE"), atomic(isolation="SNAPSHOT"), atomic():
        assert connection.connection.transaction_isolation == "SERIALIZABLE"
    assert connection.connection.transaction_isolation == "READ COMMITTED"


@atomic
def decorated() -> bool:
    return connection.in_atomic_block


def test_atomic_decorates() -> None:
    assert decorated()
    assert atomic(isolation="SERIALIZABLE")(lambda: connection.connection.transaction_isolation)() == "SERIALIZABLE"


class InTestCase(TestCase):
    def test_any_level_will_do_in_a_test_case(self) -> None:
        with atomic(isolation="SERIALIZABLE"):
            Group.objects.create(name="x")
        for attempt in retrying(isolation="SERIALIZABLE"):
            with attempt:
                Group.objects.create(name="y")
        assert Group.objects.count() == 2


# --- tries ----------------------------------------------------------------------------------------------------------------


def test_a_block_is_repeated(interfere: Interfere) -> None:
    seen, called = [], []
    for attempt in retrying(isolation="SERIALIZABLE"):
        with attempt:
            seen.append(name())
            transaction.on_commit(lambda: called.append(name()))
            if len(seen) == 1:
                interfere()
            Group.objects.create(name="b")
            Group.objects.filter(name="b").delete()
    assert seen == ["a", "a!"]
    assert called == ["a!"]


def test_a_conflict_at_the_commit_counts(interfere: Interfere) -> None:
    """At a snapshot both write the row, and the commit finds out."""
    runs = 0
    for attempt in retrying(isolation="SNAPSHOT"):
        with attempt:
            group = Group.objects.get()
            runs += 1
            if runs == 1:
                interfere()
            group.name += "?"
            group.save()
    assert (runs, name()) == (2, "a!?")


def test_the_last_try_raises(interfere: Interfere) -> None:
    runs = []

    @retry(attempts=3, delay=0.001, isolation="SERIALIZABLE")
    def work() -> None:
        runs.append(name())
        connection.connection.rollback()  # the lock of later tries would keep the other one out
        connection.connection.begin(isolation="SERIALIZABLE")
        name()
        interfere()
        Group.objects.create(name="b")

    with pytest.raises(OperationalError, match="retry"):
        work()
    assert runs == ["a", "a!", "a!!"]


def test_other_errors_are_not_repeated() -> None:
    runs = []

    @retry
    def work() -> None:
        runs.append(Group.objects.create(name="a"))
        raise OperationalError("something else")

    with pytest.raises(OperationalError, match="something else"):
        work()
    assert len(runs) == 1
    assert not Group.objects.exists()


def test_a_callback_after_the_commit_is_no_reason(interfere: Interfere) -> None:
    runs = []

    def lose() -> None:
        with atomic(isolation="SERIALIZABLE"):
            name()
            interfere()
            Group.objects.create(name="c")

    for attempt in retrying():
        try:
            with attempt:
                runs.append(1)
                Group.objects.create(name="b").delete()
                transaction.on_commit(lose)
        except OperationalError as error:
            assert is_conflict(error)
    assert runs == [1]


def test_a_decorated_function(interfere: Interfere) -> None:
    @retry(isolation="SERIALIZABLE")
    def work(suffix: str, *, times: int) -> str:
        """Appends."""
        group = Group.objects.get()
        if not RUNS:
            RUNS.append("first")
            interfere()
        group.name += suffix * times
        group.save()
        return group.name

    assert work("?", times=2) == "a!??"
    assert work.__doc__ == "Appends."
    assert retry(name)() == "a!??"


def test_inside_an_atomic_block_there_is_one_try(interfere: Interfere) -> None:
    runs = []
    with pytest.raises(OperationalError), atomic(isolation="SERIALIZABLE"):
        name()
        interfere()
        for attempt in retrying():
            with attempt:
                runs.append(1)
                Group.objects.create(name="b")
    assert runs == [1]


def test_an_async_function_is_repeated(interfere: Interfere) -> None:
    runs = []

    def work() -> None:
        with atomic(isolation="SERIALIZABLE"):
            runs.append(name())
            if len(runs) == 1:
                interfere()
            Group.objects.create(name="b").delete()

    @retry(delay=0.001)
    async def view() -> str:
        await sync_to_async(work)()
        return "done"

    assert asyncio.run(view()) == "done"
    assert runs == ["a", "a!"]


def test_leaving_a_block_whose_commit_is_lost_is_told(interfere: Interfere) -> None:
    tries = retrying(isolation="SNAPSHOT")
    with next(tries):
        group = Group.objects.get()
        interfere()
        group.save()
    with pytest.raises(RuntimeError, match="return or break"):
        tries.close()


def test_other_databases_take_no_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatabaseWrapper, "vendor", "other")
    with pytest.raises(NotSupportedError, match="only databases of django_zodb"):
        atomic(isolation="SERIALIZABLE").__enter__()


# --- whole requests -------------------------------------------------------------------------------------------------------

RUNS: list[Any] = []
INTERFERE: list[Interfere] = []


def append(request: HttpRequest) -> HttpResponse:
    """Reads, is disturbed in its first runs, and writes."""
    group = Group.objects.get()
    RUNS.append(group.name)
    transaction.on_commit(lambda: RUNS.append("committed"))
    RUNS.extend(file.read() for file in request.FILES.values())
    if request.GET.get("stream"):
        request.read()
    if len(RUNS) <= int(request.GET.get("times", 1)):
        INTERFERE[0]()
    elif request.GET.get("gone"):
        raise Http404
    group.name += request.POST.get("suffix", "?")
    group.save()
    return HttpResponse(group.name)


@transaction.non_atomic_requests
def partly(request: HttpRequest) -> HttpResponse:
    """Commits something before it loses."""
    Group.objects.filter(name="b").delete()
    with transaction.atomic():
        Group.objects.create(name="b")
    with transaction.atomic():
        return append_first(request)


def append_first(request: HttpRequest) -> HttpResponse:
    group = Group.objects.exclude(name="b").get()
    RUNS.append(group.name)
    INTERFERE[0]()
    group.save()
    return HttpResponse("saved")


@transaction.non_atomic_requests
def exempt(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        return append(request)


async def async_append(request: HttpRequest) -> HttpResponse:
    response: HttpResponse = await sync_to_async(transaction.atomic(append))(request)
    return response


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([append(request).content]))


urlpatterns = [
    path("append", append),
    path("exempt", exempt),
    path("partly", partly),
    path("async", async_append),
    path("stream", stream),
]


@pytest.fixture
def client(interfere: Interfere) -> Iterator[Client]:
    connection.close()
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    connection.settings_dict["OPTIONS"] = {"isolation_level": "SNAPSHOT"}
    INTERFERE[:] = [interfere]
    middleware = ["django_zodb.middleware.RetryMiddleware"]
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=middleware, DEBUG=False):
        yield Client(raise_request_exception=False)


def test_a_request_is_repeated(client: Client) -> None:
    response = client.post("/append?times=3", {"suffix": "#"})
    assert (response.status_code, response.content) == (200, b"a!!!#")
    assert RUNS == ["a", "a!", "a!!", "a!!!", "committed"]


def test_uploads_are_read_again(client: Client) -> None:
    response = client.post("/append?times=2", {"file": SimpleUploadedFile("x", b"content")})
    assert response.content == b"a!?"
    assert RUNS == ["a", b"content", "a!", b"content", "committed"]


@pytest.mark.parametrize("url", ["/append?stream=1", "/exempt", "/partly"])
def test_a_request_that_left_something_is_not_repeated(client: Client, url: str) -> None:
    assert client.post(url, b"body", content_type="text/plain").status_code == 500
    assert len(RUNS) == 1


def test_a_safe_request_is_repeated_without_atomic_requests(client: Client) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = False
    response = client.get("/async")
    assert response.content == b"a!?"
    assert RUNS == ["a", "a!", "committed"]
    RUNS.clear()
    assert client.post("/async").status_code == 500


def test_a_streaming_response(client: Client) -> None:
    response: Any = client.post("/stream")
    assert b"".join(response.streaming_content) == b"a!?"


def test_another_error_of_a_later_run_is_that_of_the_request(client: Client) -> None:
    assert client.post("/append?gone=1").status_code == 404
    assert RUNS == ["a", "a!"]


def test_it_gives_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_zodb.middleware.RetryMiddleware.attempts", 3)
    assert client.post("/append?times=9").status_code == 500
    assert RUNS == ["a", "a!", "a!!"]
