"""What the database can do, as Django asks for it.

Only what differs from ``BaseDatabaseFeatures`` is here; https://github.com/django/django/blob/stable/5.2.x/django/db/
backends/base/features.py explains each name. These stay off, and tests of Django's suite are skipped for them:

* ``interprets_empty_strings_as_nulls``: an empty string is a value; only Oracle says otherwise.
* ``supports_tablespaces``: a database is one storage, there are no places to choose between.
* ``prohibits_null_characters_in_text_exception``: a text may hold NUL characters.
* ``can_introspect_materialized_views``: there are none.
* ``only_supports_unbounded_with_preceding_and_following``: RANGE frames take any offset.
* ``requires_explicit_null_ordering_when_grouping``: GROUP BY does not sort.
* ``has_json_operators``: JSON paths are SQLite's, in one parameter, not PostgreSQL's chains of ``->``.
"""

from __future__ import annotations

from django.db.backends.base.features import BaseDatabaseFeatures


class DatabaseFeatures(BaseDatabaseFeatures):
    """The engine's abilities; Django's test suite runs or skips by them."""

    # Types: values are Python's own classes.
    has_native_uuid_field = True
    has_native_duration_field = True
    supports_temporal_subtraction = True
    supports_unlimited_charfield = True
    # REAL and DOUBLE PRECISION are types of their own name; both have 64 bits.
    has_real_datatype = True

    # Transactions. A failed statement leaves none of its changes, so the transaction stays usable.
    supports_transactions = True
    atomic_transactions = False
    can_release_savepoints = True
    can_rollback_ddl = True
    can_defer_constraint_checks = True
    # Rows are not locked: a FOR UPDATE that finds some makes its transaction the one that writes.
    has_select_for_update = True
    has_select_for_update_nowait = True
    has_select_for_update_of = True
    has_select_for_update_skip_locked = True
    has_select_for_no_key_update = True

    # Queries.
    allows_group_by_selected_pks = True
    can_distinct_on_fields = True
    greatest_least_ignores_nulls = True
    order_by_nulls_first = True
    supports_aggregate_filter_clause = True
    supports_aggregate_order_by_clause = True
    supports_any_value = True
    supports_frame_exclusion = True
    supports_frame_range_fixed_distance = True
    supports_over_clause = True
    supports_slicing_ordering_in_compound = True
    supported_explain_formats = {"PYTHON", "TEXT"}  # noqa: RUF012

    # Writes. An INTEGER PRIMARY KEY that is not given is the next rowid.
    can_return_columns_from_insert = True
    can_return_rows_from_bulk_insert = True
    can_return_rows_from_update = True
    supports_unspecified_pk = True
    supports_update_conflicts = True
    supports_update_conflicts_with_target = True

    # Schema.
    can_clone_databases = True
    can_rename_index = True
    ignores_table_name_case = True
    # DDL has no parameters: they are written into it as literals.
    schema_editor_uses_clientside_param_binding = True
    supports_combined_alters = True
    supports_comments = True
    supports_covering_indexes = True
    supports_deferrable_unique_constraints = True
    supports_nulls_distinct_unique_constraints = True
    supports_stored_generated_columns = True
    supports_virtual_generated_columns = True

    # JSON is text that is checked when it is written. Containment is PostgreSQL's.
    json_key_contains_list_matching_requires_list = True

    supports_callproc_kwargs = True
    create_test_procedure_without_params_sql = "CREATE PROCEDURE test_procedure () AS 'SELECT 1'"
    create_test_procedure_with_int_param_sql = "CREATE PROCEDURE test_procedure (p_i INTEGER) AS 'SELECT :p_i'"
    test_now_utc_template = "CURRENT_TIMESTAMP"
    insert_test_table_with_defaults = "INSERT INTO {} DEFAULT VALUES"
    test_collations = {  # noqa: RUF012
        "ci": "NOCASE",
        "cs": "BINARY",
        "deterministic": "BINARY",
        "non_default": "NOCASE",
        "virtual": "NOCASE",
    }

    django_test_skips: dict[str, set[str]] = {  # noqa: RUF012
        "A new unique column needs no second statement: the test counts PostgreSQL's indexes for LIKE.": {
            "indexes.tests.SchemaIndexesTests.test_alter_field_unique_false_removes_deferred_sql",
        },
        "dbshell is a console in Django's own process: there is no program that could be missing.": {
            "dbshell.tests.DbshellCommandTestCase.test_command_missing",
        },
    }

    # An address is text of at most 39 characters: the catalog has no type for it.
    introspected_field_types = {  # noqa: RUF012
        **BaseDatabaseFeatures.introspected_field_types,
        "GenericIPAddressField": "CharField",
    }
