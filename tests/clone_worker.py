"""What a process of ``manage.py test --parallel`` does that was not forked: it imports this module, then Django's settings."""

from multiprocessing.queues import SimpleQueue
from typing import Any

import django


def names_in_clone(settings: dict[str, Any], names: "SimpleQueue[list[str]]") -> None:
    """Puts the names of the groups in the clone of the parent's database, which another alias is a mirror of."""
    django.setup()
    from django.contrib.auth.models import Group
    from django.db import connections

    connection = connections["default"]
    connection.settings_dict.update(settings)
    mirror = type(connection)({**settings}, alias="mirror")
    for alias in (connection, mirror):
        alias.creation.setup_worker_connection(1)
    names.put(list(Group.objects.values_list("name", flat=True)))
