"""The backend on a database: transactions of several connections, constraints, introspection, databases of tests."""

import datetime
import multiprocessing
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management.color import no_style
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.utils import timezone
from freezegun import freeze_time

from django_zodb.base import DatabaseWrapper
from tests.clone_worker import names_in_clone


@pytest.fixture
def other() -> Iterator[DatabaseWrapper]:
    """A second connection to the database of the test."""
    wrapper = connection.copy()
    yield wrapper
    wrapper.close()


def names(wrapper: Any, clause: str = "") -> list[str]:
    with wrapper.cursor() as cursor:
        cursor.execute(f"SELECT name FROM auth_group ORDER BY name {clause}")
        return [name for (name,) in cursor.fetchall()]


# --- transactions ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_reader_sees_what_others_commit(other: DatabaseWrapper) -> None:
    with transaction.atomic():
        assert names(connection) == []
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('a')")
        assert names(connection) == ["a"]


@pytest.mark.django_db(transaction=True)
def test_a_writer_meets_no_conflict(other: DatabaseWrapper) -> None:
    Group.objects.create(name="a")
    with transaction.atomic():
        assert names(connection) == ["a"]
        with other.cursor() as cursor:
            cursor.execute("DELETE FROM auth_group")
        Group.objects.create(name="b")
        Group.objects.all().delete()
    assert names(connection) == []


@pytest.mark.django_db(transaction=True)
def test_for_update_locks(other: DatabaseWrapper) -> None:
    Group.objects.create(name="a")
    with transaction.atomic():
        assert [group.name for group in Group.objects.select_for_update()] == ["a"]
        other.set_autocommit(False)
        with pytest.raises(DatabaseError, match="locked"):
            names(other, "FOR UPDATE NOWAIT")
        assert names(other, "FOR UPDATE SKIP LOCKED") == []
        assert names(other) == ["a"]
    assert names(other, "FOR UPDATE NOWAIT") == ["a"]
    other.rollback()


@pytest.mark.django_db(transaction=True)
def test_nothing_found_is_nothing_locked(other: DatabaseWrapper) -> None:
    with transaction.atomic():
        assert not Group.objects.select_for_update()
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO auth_group (name) VALUES ('a')")
    assert names(connection) == ["a"]


@pytest.mark.django_db(transaction=True)
def test_savepoints_are_logged_as_sql(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(4) as captured, transaction.atomic(), transaction.atomic():
        pass
    words = [query["sql"].split()[0] for query in captured.captured_queries]
    assert words == ["BEGIN", "SAVEPOINT", "RELEASE", "COMMIT"]


# --- constraints ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_deferred_foreign_keys_can_be_checked_early() -> None:
    User.objects.create(username="a")
    with pytest.raises(IntegrityError), transaction.atomic():
        Permission.objects.create(name="p", codename="c", content_type_id=999)
        connection.check_constraints()


@pytest.mark.django_db(transaction=True)
def test_a_commit_checks_foreign_keys() -> None:
    with pytest.raises(IntegrityError):
        Permission.objects.create(name="p", codename="c", content_type_id=999)
    assert not Permission.objects.filter(codename="c").exists()


@pytest.mark.django_db
def test_ignoring_conflicts_ignores_nothing_else() -> None:
    Group.objects.create(name="a")
    Group.objects.bulk_create([Group(name="a"), Group(name="b")], ignore_conflicts=True)
    with pytest.raises(IntegrityError, match="NOT NULL"), transaction.atomic():
        Group.objects.bulk_create([Group(name=None)], ignore_conflicts=True)
    assert names(connection) == ["a", "b"]


@pytest.mark.django_db(transaction=True)
def test_flush_restarts_ids() -> None:
    user = User.objects.create(username="a")
    user.groups.add(Group.objects.create(name="g"))
    statements = connection.ops.sql_flush(no_style(), ["auth_group"], reset_sequences=True, allow_cascade=True)
    connection.ops.execute_sql_flush(statements)
    assert not user.groups.exists()
    assert User.objects.exists()
    assert Group.objects.create(name="g").pk == 1


# --- introspection ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_constraints() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE part (id bigint PRIMARY KEY AUTOINCREMENT, name varchar(9) COLLATE NOCASE UNIQUE, size integer "
            "CHECK (size > 0), owner_id integer REFERENCES auth_user (id), CHECK (length(name) > size))"
        )
        cursor.execute("CREATE INDEX part_idx ON part (lower(name), size DESC) INCLUDE (owner_id)")
        found = connection.introspection.get_constraints(cursor, "part")
        description = connection.introspection.get_table_description(cursor, "part")
    shown = {
        name: (entry["columns"], *(key for key in ("primary_key", "unique", "check", "index") if entry[key]))
        for name, entry in found.items()
    }
    assert shown == {
        "part_pkey": (["id"], "primary_key", "unique"),
        "sqlite_autoindex_part_1": (["name"], "unique"),
        "part_check": (["size"], "check"),
        "part_check1": (["name", "size"], "check"),
        "part_owner_id_fkey": (["owner_id"],),
        "part_idx": ([None, "size", "owner_id"], "index"),
    }
    assert found["part_owner_id_fkey"]["foreign_key"] == ("auth_user", "id")
    assert found["part_idx"]["orders"] == ["ASC", "DESC"]
    assert [connection.introspection.get_field_type(column.type_code, column) for column in description] == [
        "BigAutoField",
        "CharField",
        "IntegerField",
        "IntegerField",
    ]
    assert (description[1].display_size, description[1].collation, description[1].null_ok) == (9, "NOCASE", True)


@pytest.mark.django_db
def test_constraints_without_names_can_be_dropped() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE part (id integer PRIMARY KEY, size integer CHECK (size > 0))")
        cursor.execute("ALTER TABLE part DROP CONSTRAINT part_check")
        cursor.execute("INSERT INTO part (size) VALUES (-1)")


# --- databases of tests -----------------------------------------------------------------------------------------------


def on_file(path: Path) -> DatabaseWrapper:
    return DatabaseWrapper({**connection.settings_dict, "NAME": str(path)}, alias="file")


@pytest.mark.django_db
def test_clone_of_a_file(tmp_path: Path) -> None:
    source = on_file(tmp_path / "shop.fs")
    with closing(source), source.cursor() as cursor:
        cursor.execute("CREATE TABLE part (id integer PRIMARY KEY)")
        cursor.execute("INSERT INTO part VALUES (1)")
        source.creation.clone_test_db("1", verbosity=0)
        name = source.creation.get_test_db_clone_settings("1")["NAME"]
        assert name == str(tmp_path / "shop_1.fs")
        with closing(on_file(Path(name))) as clone, clone.cursor() as other:
            other.execute("DELETE FROM part")
        cursor.execute("SELECT count(*) FROM part")
        assert cursor.fetchone() == (1,)
        source.creation.drop(name)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("shop_1")) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_process_that_was_not_forked_loads_its_clone(method: str) -> None:
    Group.objects.create(name="a")
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method(method, force=True)
    try:
        connection.creation.clone_test_db("1", verbosity=0)
        names = multiprocessing.SimpleQueue()
        process = multiprocessing.Process(target=names_in_clone, args=(connection.settings_dict, names))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        assert names.get() == ["a"]
    finally:
        multiprocessing.set_start_method(before, force=True)


@pytest.mark.django_db
def test_a_database_in_memory_outlives_its_connections() -> None:
    wrapper = DatabaseWrapper({**connection.settings_dict, "NAME": "memory://outlives"}, alias="memory")
    with wrapper.cursor() as cursor:
        cursor.execute("CREATE TABLE part (id integer PRIMARY KEY)")
    wrapper.close()
    assert wrapper.introspection.table_names() == ["part"]
    wrapper.close()
    wrapper.creation.drop("memory://outlives")
    assert wrapper.introspection.table_names() == []
    wrapper.close()
    wrapper.creation.drop("memory://outlives")


@pytest.mark.django_db
def test_options_of_the_object_cache(tmp_path: Path) -> None:
    wrapper = on_file(tmp_path / "cached.fs")
    wrapper.settings_dict["OPTIONS"] = {"cache_size": 10, "cache_size_bytes": 60 << 20}
    wrapper.ensure_connection()
    kept = wrapper.connection._txn._connection._cache
    assert (kept.cache_size, kept.cache_size_bytes) == (10, 10 << 20)
    wrapper.close()


# --- large values ---------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_large_values_round_trip() -> None:
    class Attachment(models.Model):
        name = models.CharField(max_length=50)
        content = models.BinaryField()
        body = models.TextField(default="")

        class Meta:
            app_label = "attachments"

    content, body = bytes(range(256)) * (50 << 12), "aé\U0001f600\n" * 2_500_000
    with connection.schema_editor() as editor:
        editor.create_model(Attachment)
    try:
        Attachment.objects.create(name="large", content=content, body=body)
        Attachment.objects.create(name="small", content=b"x")
        found = Attachment.objects.get(name="large")
        assert (bytes(found.content), found.body) == (content, body)
        assert Attachment.objects.defer("content").filter(body__contains="\U0001f600").values_list("name").get() == (
            "large",
        )
        Attachment.objects.update(name="both")
        assert [len(item.content) for item in Attachment.objects.order_by("id")] == [50 << 20, 1]
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Attachment)


@pytest.mark.parametrize(
    ("name", "test_name", "expected"),
    [
        (":memory:", None, "memory://test_default"),
        ("/srv/db.fs", None, "memory://test_default"),
        ("/srv/db.fs", "test_/srv/db.fs_gw0", "memory://test_default"),
        (":memory:", "test_:memory:_gw1", "memory://test_default"),
        ("db.fs", "test_db.fs", "test_db.fs"),
    ],
)
def test_name_of_a_test_database(name: str, test_name: str | None, expected: str) -> None:
    wrapper = connection.copy()
    wrapper.settings_dict = {**connection.settings_dict, "NAME": name, "TEST": {"NAME": test_name}}
    assert wrapper.creation._get_test_db_name() == expected


@pytest.mark.django_db
def test_a_frozen_clock() -> None:
    """freezegun swaps the classes of ``datetime`` in all modules but those that are told to it."""
    with freeze_time("2020-05-17 12:00"):
        now = timezone.now()
        User.objects.create(username="a", date_joined=now)
        (joined,) = User.objects.filter(date_joined__lte=now).values_list("date_joined", flat=True)
    assert joined == datetime.datetime(2020, 5, 17, 12, tzinfo=datetime.UTC)
    assert type(joined) is datetime.datetime
