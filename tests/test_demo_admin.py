"""The demo's admin in a real browser: what a person does on the first day, against the running server.

The tests share one server and build on each other, in the order of the file.
"""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.demo.bookshop import ADMIN, environment, make_bookshop, serving

pytestmark = pytest.mark.browser


def require(program: str) -> str:
    """The program's path. Its absence skips on a desktop and fails where the whole is checked."""
    path = shutil.which(program)
    if path is None:
        reason = f"{program} is not installed (Debian: apt-get install chromium chromium-driver)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running bookshop."""
    folder = tmp_path_factory.mktemp("bookshop")
    make_bookshop(folder, scale=0.05)
    assert (folder / "db.fs").read_bytes().startswith(b"FS30"), "the bookshop is in a ZODB file"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(serving(port), cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/admin/login/", process, folder / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)
    assert "Traceback" not in (folder / "server.log").read_text()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urlopen(url, timeout=10).close()
            return
        except URLError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.1)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = require("chromium")
    # No sandbox: Chromium refuses to have one as root. No /dev/shm: containers give it 64 MB.
    for argument in [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--window-size=1280,1000",
    ]:
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(require("chromedriver")))
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


class Browser:
    """The few gestures that these tests are made of."""

    def __init__(self, driver: webdriver.Chrome, server: str, pictures: Path) -> None:
        self.driver, self.server, self.pictures = driver, server, pictures

    def open(self, path: str) -> None:
        self.driver.get(self.server + path)
        self.check_page()

    def check_page(self) -> None:
        assert "Server Error" not in self.driver.title and "Exception" not in self.driver.title, self.text("body")[
            :4000
        ]

    def text(self, selector: str) -> str:
        return self.driver.find_element(By.CSS_SELECTOR, selector).text

    def texts(self, selector: str) -> list[str]:
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def fill(self, name: str, value: str) -> None:
        field = self.driver.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)

    def click(self, selector: str) -> None:
        """Clicks what leads to another page, and waits until that page is there."""
        body = self.driver.find_element(By.TAG_NAME, "body")
        element = self.driver.find_element(By.CSS_SELECTOR, selector)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        WebDriverWait(self.driver, 30).until(staleness_of(body))
        WebDriverWait(self.driver, 30).until(lambda d: d.execute_script("return document.readyState") == "complete")
        self.check_page()

    def tick(self, selector: str) -> None:
        self.driver.find_element(By.CSS_SELECTOR, selector).click()

    def photograph(self, name: str) -> None:
        path = self.pictures / f"{name}.png"
        assert self.driver.save_screenshot(str(path)) and path.stat().st_size > 10_000


@pytest.fixture(scope="module")
def browser(server: str, chromium: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser in which the superuser is logged in."""
    browser = Browser(chromium, server, tmp_path_factory.mktemp("pictures"))
    browser.open("/")
    assert "Log in" in chromium.title
    browser.fill("username", ADMIN)
    browser.fill("password", ADMIN)
    browser.click("[type=submit]")
    return browser


def test_index_lists_every_model(browser: Browser) -> None:
    browser.open("/admin/")
    headings = browser.texts("#content-main th[scope=row]")
    assert {"Groups", "Users", "Authors", "Books", "Customers", "Orders", "Publishers", "Reviews"} <= set(headings)
    browser.photograph("index")


def test_wrong_password_is_refused(server: str, browser: Browser) -> None:
    cookies = browser.driver.get_cookies()
    browser.driver.delete_all_cookies()
    browser.open("/admin/login/")
    browser.fill("username", ADMIN)
    browser.fill("password", "wrong")
    browser.click("[type=submit]")
    assert "Please enter the correct username and password" in browser.text(".errornote")
    browser.driver.delete_all_cookies()
    for cookie in cookies:
        browser.driver.add_cookie(cookie)


def test_add_group_with_permissions(browser: Browser) -> None:
    browser.open("/admin/auth/group/add/")
    browser.fill("name", "Booksellers")
    permissions = Select(browser.driver.find_element(By.CSS_SELECTOR, "#id_permissions_from"))
    chosen = ["Bookshop | book | Can change book", "Bookshop | order | Can add order"]
    for permission in chosen:
        permissions.select_by_visible_text(permission)
    browser.tick(".selector-add, #id_permissions_add_link, #id_permissions_add")
    browser.click("[name=_continue]")
    assert "Booksellers" in browser.text(".messagelist")
    assert browser.texts("#id_permissions_to option") == chosen


def test_add_and_edit_user(browser: Browser) -> None:
    browser.open("/admin/auth/user/add/")
    browser.fill("username", "ursula")
    browser.fill("password1", "earthsea-1968")
    browser.fill("password2", "earthsea-1968")
    browser.click("[name=_save]")
    assert "was added successfully" in browser.text(".messagelist")
    browser.fill("first_name", "Ursula")
    browser.fill("email", "ursula@example.com")
    browser.tick("#id_is_staff")
    browser.click("[name=_save]")
    assert "was changed successfully" in browser.text(".messagelist")
    row = next(row for row in browser.texts("#result_list tbody tr") if "ursula" in row)
    assert "ursula@example.com" in row and "Ursula" in row


def test_duplicate_username_is_refused(browser: Browser) -> None:
    browser.open("/admin/auth/user/add/")
    browser.fill("username", ADMIN)
    browser.fill("password1", "earthsea-1968")
    browser.fill("password2", "earthsea-1968")
    browser.click("[name=_save]")
    assert "A user with that username already exists" in browser.text("form .errorlist")


def test_search(browser: Browser) -> None:
    browser.open("/admin/shop/book/")
    everything = browser.text("#content .paginator")
    browser.fill("q", "bridge")
    browser.click("#changelist-search [type=submit]")
    titles = browser.texts("#result_list .field-title")
    assert titles and all("Bridge" in title for title in titles)
    assert browser.text("#content .paginator") != everything
    browser.photograph("search")


def test_filter_and_order(browser: Browser) -> None:
    browser.open("/admin/shop/order/?status__exact=sent&o=-6")
    assert set(browser.texts("#result_list tbody .field-status")) == {"Sent"}
    totals = [float(total) for total in browser.texts("#result_list tbody .field-total")]
    assert totals == sorted(totals, reverse=True)
    browser.photograph("filter")


def test_date_hierarchy_drills_down(browser: Browser) -> None:
    browser.open("/admin/shop/order/?placed__year=2024")
    months = browser.texts(".change-list .toplinks a")
    assert any(month.startswith("January") for month in months), months
    browser.open("/admin/shop/order/?placed__year=2024&placed__month=1")
    assert all("Jan." in placed for placed in browser.texts("#result_list tbody .field-placed"))


def test_edit_inline_and_generated_total(browser: Browser) -> None:
    browser.open("/admin/shop/order/1/change/")
    browser.fill("lines-0-quantity", "7")
    browser.click("[name=_continue]")
    assert "was changed successfully" in browser.text(".messagelist")
    price = browser.driver.find_element(By.NAME, "lines-0-price").get_attribute("value")
    assert price is not None
    assert float(browser.text("#lines-0 .field-total")) == pytest.approx(7 * float(price))


def test_check_constraint_is_told_at_its_form(browser: Browser) -> None:
    browser.open("/admin/shop/order/1/change/")
    browser.fill("lines-0-quantity", "0")
    browser.click("[name=_save]")
    assert "violated" in browser.text("#content form")


def count_of_books(browser: Browser) -> int:
    """What the list says below its rows."""
    found = re.search(r"(\d+) books?", browser.text("#content .paginator"))
    assert found is not None
    return int(found[1])


def test_action_on_many_rows(browser: Browser) -> None:
    browser.open("/admin/shop/book/?available__exact=1")
    before = count_of_books(browser)
    for box in browser.driver.find_elements(By.CSS_SELECTOR, "#result_list .action-select")[:3]:
        box.click()
    Select(browser.driver.find_element(By.NAME, "action")).select_by_value("withdraw")
    browser.click("#changelist-form .actions [name=index]")
    assert "3 books withdrawn." in browser.text(".messagelist")
    assert count_of_books(browser) == before - 3


def test_delete_with_its_confirmation_page(browser: Browser) -> None:
    browser.open("/admin/shop/customer/2/delete/")
    summary = browser.text("#content")
    assert "Are you sure you want to delete the customer" in summary and "Orders" in summary
    browser.photograph("delete")
    browser.click("#content form [type=submit]")
    assert "was deleted successfully" in browser.text(".messagelist")
    browser.driver.get(f"{browser.server}/admin/shop/customer/2/change/")
    assert "doesn’t exist" in browser.text(".messagelist")


def test_protected_object_is_not_deleted(browser: Browser) -> None:
    browser.open("/admin/shop/publisher/1/delete/")
    assert "would require deleting the following protected related objects" in browser.text("#content")


def test_history_tells_the_changes(browser: Browser) -> None:
    browser.open("/admin/shop/order/3/change/")
    browser.fill("lines-0-quantity", "5")
    browser.click("[name=_save]")
    browser.open("/admin/shop/order/3/history/")
    assert "Changed Quantity" in browser.text("#change-history")


def test_log_out(browser: Browser) -> None:
    browser.open("/admin/")
    browser.click("#logout-form button")
    assert "Logged out" in browser.driver.title
