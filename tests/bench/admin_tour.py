"""What Django's admin asks a database: a tour through the bookshop's pages, whose statements are written down.

``python -m tests.bench.admin_tour FILE``, run in the bookshop's folder, leaves in ``FILE`` the pickled list of (text,
parameters) of every statement, each text once, in the order of their first use. What the tour writes is rolled back, so
that the statements can be run again on the same rows.
"""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

PAGES = (
    "",
    "auth/user/",
    "auth/user/?q=adm&is_staff__exact=1",
    "auth/user/1/change/",
    "auth/group/",
    "shop/publisher/?o=4",
    "shop/author/?q=le",
    "shop/author/?born__year=1950",
    "shop/genre/",
    "shop/genre/1/change/",
    "shop/book/",
    "shop/book/?q=bridge&o=-4.1",
    "shop/book/?available__exact=1&format__exact=P&o=7&p=2",
    "shop/book/?genres__id__exact=3&published__year=2020",
    "shop/book/1/change/",
    "shop/customer/?newsletter__exact=0&joined__year=2024&joined__month=1",
    "shop/order/?status__exact=sent&o=-6",
    "shop/order/?q=bridge",
    "shop/order/1/change/",
    "shop/order/1/history/",
    "shop/review/?stars__exact=5",
    "shop/customer/3/delete/",
    "shop/publisher/1/delete/",
    "autocomplete/?app_label=shop&model_name=book&field_name=customer&term=an",
)
POSTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("auth/group/add/", {"name": "Booksellers", "permissions": ["25", "26"]}),
    ("auth/user/add/", {"username": "ursula", "password1": "earthsea-1968", "password2": "earthsea-1968"}),
    ("shop/publisher/1/change/", {"name": "House", "city": "Oslo", "founded": "1901", "website": ""}),
    ("shop/author/add/", {"first_name": "Sjón", "last_name": "Sigurðsson", "born": "1962-08-27", "biography": ""}),
    ("shop/book/", {"action": "withdraw", "_selected_action": ["1", "2", "3"]}),
    ("shop/customer/2/delete/", {"post": "yes"}),
    ("shop/book/", {"action": "delete_selected", "_selected_action": ["4", "5"], "post": "yes"}),
    ("shop/genre/1/delete/", {"post": "yes"}),
)


def tour() -> list[tuple[str, Any]]:
    """The statements of all pages; needs the bookshop's settings."""
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.db import connection, transaction
    from django.test import Client

    settings.ALLOWED_HOSTS.append("testserver")
    settings.DEBUG = False
    found: dict[str, Any] = {}

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if not many:
            found.setdefault(sql, params)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note), transaction.atomic():
        client = Client()
        client.force_login(get_user_model().objects.get(username="admin"))
        for page in PAGES:
            client.get(f"/admin/{page}")
        for page, form in POSTS:
            client.post(f"/admin/{page}", form)
        client.post("/admin/logout/")
        transaction.set_rollback(True)
    return list(found.items())


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    Path(sys.argv[1]).write_bytes(pickle.dumps(tour()))
