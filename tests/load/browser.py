"""A person who works in the bookshop's admin: logs in, reads lists, fills forms.

In: addresses of servers, which share their sessions through the database. Out: a verdict for each request.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

from tests.demo.bookshop import ADMIN

LISTS = ("book", "order", "customer", "review", "author", "genre", "publisher")


class Fields(HTMLParser):
    """The fields of the forms of a page that are sent, with what is in them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str]] = []
        self._select = self._area = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name, kind = found.get("name", ""), found.get("type", "text")
        match tag:
            case "input" if name and kind not in ("submit", "file", "image", "button"):
                if kind not in ("checkbox", "radio"):
                    self.fields.append((name, found.get("value", "")))
                elif "checked" in found:
                    self.fields.append((name, found.get("value", "on")))
            case "select":
                self._select = name
            case "option" if self._select and "selected" in found:
                self.fields.append((self._select, found.get("value", "")))
            case "textarea" if name:
                self._area = name
                self.fields.append((name, ""))

    def handle_data(self, data: str) -> None:
        if self._area:
            name, value = self.fields[-1]
            self.fields[-1] = (name, value + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area:
            name, value = self.fields[-1]
            self.fields[-1] = (name, value.removeprefix("\n"))
            self._area = ""


class Person:
    """One session in the admin."""

    def __init__(self, name: str, servers: list[str]) -> None:
        self.name = name
        self.verdicts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failures: list[str] = []
        self.customers: list[str] = []  # addresses of customers that were saved, as the server said
        self._servers = servers
        self._random = random.Random(name)
        self._opener: OpenerDirector
        self._log_in()

    def act(self) -> None:
        """One thing that a person does, of several requests."""
        weights: dict[Callable[[], None], int] = {
            self._read_list: 8,
            self._read_object: 4,
            self._add_customer: 3,
            self._change_customer: 3,
            self._change_order: 2,
            self._delete_review: 1,
            self._log_in: 1,
        }
        self._random.choices(list(weights), weights.values())[0]()

    # --- what people do -----------------------------------------------------------------------------------------------

    def _log_in(self) -> None:
        self._opener = build_opener(HTTPCookieProcessor(CookieJar()))
        fields = dict(Fields(self._get("login/")).fields)
        self._post("login/", [*(fields | {"username": ADMIN, "password": ADMIN}).items()])

    def _read_list(self) -> str:
        kind = self._random.choice(LISTS)
        query = self._random.choice(["", "?q=a", "?o=1", "?o=-2", "?p=2", "?q=lo"])
        return self._get(f"shop/{kind}/{query}")

    def _some(self, kind: str) -> str:
        """The path of the page of one of the objects on the first page of a list."""
        found = re.findall(rf"/admin/(shop/{kind}/\d+/change/)", self._get(f"shop/{kind}/"))
        return self._random.choice(found) if found else f"shop/{kind}/add/"

    def _read_object(self) -> None:
        self._get(self._some(self._random.choice(LISTS)))

    def _add_customer(self) -> None:
        address = f"{self.name}-{self._random.randrange(10**12)}@example.com"
        fields = dict(Fields(self._get("shop/customer/add/")).fields)
        fields |= {"name": self.name, "email": address, "city": "Lisboa"}
        if self._post("shop/customer/add/", list(fields.items())):
            self.customers.append(address)

    def _change_customer(self) -> None:
        self._change(self._some("customer"), "city", self._random.choice(["Lisboa", "Kyoto", "Boston"]))

    def _change_order(self) -> None:
        self._change(self._some("order"), "note", f"{self.name} was here")

    def _change(self, path: str, field: str, value: str) -> None:
        fields = [item for item in Fields(self._get(path)).fields if item[0] != field]
        self._post(path, [*fields, (field, value)])

    def _delete_review(self) -> None:
        path = self._some("review").replace("change", "delete")
        if "delete" in path:
            self._post(path, [*Fields(self._get(path)).fields, ("post", "yes")])

    # --- requests -----------------------------------------------------------------------------------------------------

    def _get(self, path: str) -> str:
        return self._request("GET", path, None)[1]

    def _post(self, path: str, fields: list[tuple[str, str]]) -> bool:
        """Whether what was sent was accepted: the server leads to another page."""
        url, page = self._request("POST", path, urlencode([*fields, ("_save", "Save")]).encode())
        accepted = not url.partition("?")[0].endswith("/" + path)
        if not accepted:
            message = re.search(r'class="errorlist[^>]*><li>(.*?)</li>', page)
            self.refused[message[1] if message else "without a word"] += 1
        return accepted

    def _request(self, method: str, path: str, data: bytes | None) -> tuple[str, str]:
        url = f"{self._random.choice(self._servers)}/admin/{path}"
        try:
            with self._opener.open(url, data, timeout=60) as response:
                self.verdicts[f"{method} {response.status}"] += 1
                return response.url, response.read().decode()
        except HTTPError as error:
            self.verdicts[f"{method} {error.code}"] += 1
            page = error.read().decode()
            title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
            self.failures.append(f"{method} {url}: {error.code} {title[1].split() if title else page[:200]}")
            return url, page
        except OSError as error:
            self.verdicts["no answer"] += 1
            self.failures.append(f"{method} {url}: {error}")
            return url, ""
