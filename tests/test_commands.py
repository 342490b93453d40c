"""The management commands from outside, as a person or a script meets them: output, status, signals."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ZODB
from django.core.management import CommandError, call_command
from django.db import connections

ROOT = Path(__file__).resolve().parents[1]


class Project:
    """A Django project with auth on a database file, and its ``manage.py``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.use(str(folder / "db.fs"))

    def use(self, name: str) -> None:
        """Sets NAME of the default database."""
        settings = f"""
            SECRET_KEY = "tests"
            DATABASES = {{"default": {{"ENGINE": "django_zodb", "NAME": {name!r}}}}}
            INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django_zodb"]
            PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
            DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
            USE_TZ = True
        """
        (self.folder / "project_settings.py").write_text(textwrap.dedent(settings))

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "project_settings",
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.folder),
            "TERM": "dumb",
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "django", *arguments]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def output(self, *arguments: str, stdin: str = "") -> str:
        """What a command that must succeed prints."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A migrated project that the tests only read, except in tables of their own."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.output("migrate", "--verbosity=0")
    return project


class TestDbshell:
    def test_argument(self, migrated: Project) -> None:
        out = migrated.output(
            "dbshell", "--", "-c", "SELECT id, codename FROM auth_permission WHERE id <= 2 ORDER BY id"
        )
        assert out == textwrap.dedent("""\
            id | codename
            ---+-------------------
             1 | add_contenttype
             2 | change_contenttype
            (2 rows)
        """)

    def test_standard_input(self, migrated: Project) -> None:
        script = """
            CREATE TABLE temperature (city TEXT, degrees REAL, note BLOB);
            INSERT INTO temperature VALUES ('Oslo', -3.5, x'00ff'), ('Ma;nila', 31.0, NULL);
            SELECT * FROM temperature ORDER BY city DESC;
            DROP TABLE temperature;
        """
        out = migrated.output("dbshell", stdin=script)
        assert out.splitlines()[-5:] == [
            "city    | degrees | note",
            "--------+---------+--------",
            "Oslo    |    -3.5 | X'00FF'",
            "Ma;nila |    31.0 | NULL",
            "(2 rows)",
        ]

    def test_error_goes_to_stderr_with_a_status(self, migrated: Project) -> None:
        done = migrated.run("dbshell", "--", "-c", "SELECT * FROM nowhere")
        assert done.returncode == 1
        assert "no such table: nowhere" in done.stderr and "Traceback" not in done.stderr

    def test_first_error_ends_a_script(self, migrated: Project) -> None:
        done = migrated.run("dbshell", stdin="SELECT 1 AS one; SELEC 2; SELECT 3 AS three;")
        assert done.returncode == 1 and "three" not in done.stdout

    def test_percent_is_only_a_percent(self, migrated: Project) -> None:
        out = migrated.output(
            "dbshell", "--", "-c", "SELECT codename FROM auth_permission WHERE codename LIKE 'add_perm%'"
        )
        assert "add_permission" in out

    def test_console(self, migrated: Project) -> None:
        seen = talk(
            migrated.command("dbshell"),
            migrated,
            "root",
            'root["django_migrations"].columns',
            'sql("SELECT count(*) AS how_many FROM auth_permission WHERE id < %s", [4])',
            "connection.vendor",
            'sql("SELECT nothing")',
            'sql("SELECT codename FROM auth_perm\tLIMIT 1")',
        )
        assert "<ZODB with tables: ['auth_group', 'auth_group_permissions'," in seen
        assert "('id', 'app', 'name', 'applied')" in seen
        assert "how_many" in seen and "(1 row)" in seen
        assert "'zodb'" in seen
        assert "no such column: nothing" in seen
        assert (migrated.folder / ".django_zodb_history").exists()


def talk(command: list[str], project: Project, *lines: str) -> str:
    """What a program shows on a terminal when a person types the lines, one after each prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project.folder)
        os.execve(command[0], command, project.environment)
    seen = read_until(terminal, ">>> ")
    for line in lines:
        os.write(terminal, line.encode() + b"\n")
        seen += read_until(terminal, ">>> ")
    os.write(terminal, b"\x04")
    seen += read_until(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, seen
    return seen


def read_until(terminal: int, end: str | None) -> str:
    """What appears up to the text, or up to the end when there is none."""
    seen = ""
    deadline = time.monotonic() + 60
    while end is None or not seen.endswith(end):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"waiting for {end!r}, got {seen!r}"
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux: the other end is closed
            piece = b""
        if not piece:
            assert end is None, seen
            break
        seen += piece.decode(errors="replace")
    return seen


class TestDumpzodb:
    def test_tree(self, migrated: Project) -> None:
        lines = migrated.output("dumpzodb").splitlines()
        assert lines[0] == "/zodbapi"
        place = lines.index("    /zodbapi/tables/auth_permission: ('id', 'name', 'content_type_id', 'codename')")
        assert lines[place + 1] == (
            "      /zodbapi/tables/auth_permission/1: (1, 'Can add content type', 1, 'add_contenttype')"
        )
        assert any(line.startswith("    /zodbapi/indexes/auth_") for line in lines)

    def test_one_table_and_a_limit(self, migrated: Project) -> None:
        out = migrated.output("dumpzodb", "--table=auth_permission", "--limit=2")
        assert len(re.findall(r"/tables/auth_permission/\d+:", out)) == 2 and "auth_user" not in out

    def test_json_has_an_object_a_line(self, migrated: Project) -> None:
        objects = [json.loads(line) for line in migrated.output("dumpzodb", "--json").splitlines()]
        rows = [item for item in objects if item["path"][:3] == ["zodbapi", "tables", "auth_permission"]][1:]
        assert rows[0]["value"][3] == "add_contenttype"
        assert [int(row["path"][3]) for row in rows] == [row["value"][0] for row in rows]

    def test_unknown_table(self, migrated: Project) -> None:
        done = migrated.run("dumpzodb", "--table=nowhere")
        assert done.returncode == 1 and done.stderr == "CommandError: no such table: nowhere\n"


class TestCheckzodb:
    def test_sound_database(self, migrated: Project) -> None:
        assert migrated.output("checkzodb") == "ok\n"

    def test_damage_is_told_and_mended(self, migrated: Project, tmp_path: Path) -> None:
        project = Project(tmp_path)
        shutil.copy(migrated.folder / "db.fs", tmp_path)
        # An index entry is taken out behind the engine's back.
        database = ZODB.DB(str(tmp_path / "db.fs"))
        with database.transaction() as connection:
            trees = connection.root()["zodbapi"]["indexes"]
            tree = next(tree for tree in trees.values() if len(tree) > 1 and hasattr(tree, "items"))
            del tree[tree.minKey()]
        database.close()
        done = project.run("checkzodb")
        assert done.returncode == 1 and "has no entry" in done.stderr and "1 problem found" in done.stderr
        assert project.output("checkzodb", "--rebuild") == "ok\n"
        assert project.output("checkzodb") == "ok\n"


@pytest.fixture
def served(migrated: Project, tmp_path: Path) -> Iterator[Callable[..., tuple[Project, subprocess.Popen[str], str]]]:
    """Starts ``runzeo`` on a copy of the migrated file, and gives the project, the server, and the address it told."""
    servers = []

    def serve(*arguments: str) -> tuple[Project, subprocess.Popen[str], str]:
        project = Project(tmp_path)
        shutil.copy(migrated.folder / "db.fs", tmp_path)
        server = project.start("runzeo", *arguments)
        servers.append(server)
        assert server.stdout is not None
        starting = re.fullmatch(r"Starting ZEO server on (.+)\.\.\.\n", server.stdout.readline())
        assert starting is not None
        assert server.stdout.readline() == "ZEO server is running... Press Ctrl+C to stop.\n"
        return project, server, starting[1]

    yield serve
    for server in servers:
        if server.poll() is None:
            server.kill()
        server.communicate()


@pytest.mark.parametrize("command", ["checkzodb", "dumpzodb", "runzeo"])
def test_databases_of_other_backends_are_refused(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "another")
    with pytest.raises(CommandError, match="'default' is not one of django_zodb"):
        call_command(command)


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost that signs itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


class TestRunzeo:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_second_process_reads_and_writes(self, served: Callable[..., tuple], number: int) -> None:
        project, server, address = served("--address=127.0.0.1:0")
        project.use(f"zeo://{address}?wait_timeout=10")
        assert "Can add user" in project.output("dbshell", "--", "-c", "SELECT name FROM auth_permission")
        project.output("dbshell", "--", "-c", "INSERT INTO auth_group (name) VALUES ('Remote')")
        server.send_signal(number)
        assert server.wait(20) == 0
        project.use(str(project.folder / "db.fs"))
        assert "Remote" in project.output("dbshell", "--", "-c", "SELECT name FROM auth_group")

    def test_unix_socket(self, served: Callable[..., tuple], tmp_path: Path) -> None:
        project, server, address = served(f"--address={tmp_path}/zeo.sock")
        assert address == f"{tmp_path}/zeo.sock"
        project.use(f"zeo://{address}?wait_timeout=10")
        assert "auth_group" in project.output("dumpzodb", "--table=auth_group")
        server.terminate()
        assert server.wait(20) == 0
        assert not (tmp_path / "zeo.sock").exists()

    def test_tls_on_a_public_address(self, served: Callable[..., tuple], tmp_path: Path) -> None:
        certificate, key = make_certificate(tmp_path)
        tls = [f"--certificate={certificate}", f"--key={key}", f"--ca={certificate}"]
        project, server, address = served("--address=0.0.0.0:0", *tls)
        port = address.rpartition(":")[2]
        (tmp_path / "client.conf").write_text(f"""
            %import ZEO
            <zodb>
              <clientstorage>
                server 127.0.0.1:{port}
                wait-timeout 10
                <ssl>
                  certificate {certificate}
                  key {key}
                  authenticate {certificate}
                  server-hostname localhost
                </ssl>
              </clientstorage>
            </zodb>
        """)
        project.use(f"zconfig://{tmp_path}/client.conf")
        assert "Can add user" in project.output("dbshell", "--", "-c", "SELECT name FROM auth_permission")
        project.use(f"zeo://127.0.0.1:{port}?wait_timeout=2")
        assert project.run("dbshell", "--", "-c", "SELECT 1").returncode == 1
        assert server.poll() is None

    @pytest.mark.parametrize("address", ["0.0.0.0:0", ":0", "[::]:0"])
    def test_public_address_needs_tls(self, migrated: Project, address: str) -> None:
        done = migrated.run("runzeo", f"--address={address}")
        assert done.returncode == 1 and "can be reached from other machines" in done.stderr

    def test_half_of_tls_is_refused(self, migrated: Project) -> None:
        done = migrated.run("runzeo", "--address=0.0.0.0:0", "--certificate=server.pem")
        assert done.returncode == 1 and "TLS needs --certificate and --ca" in done.stderr

    @pytest.mark.parametrize("name", [":memory:", "memory://shared", "zeo://127.0.0.1:9"])
    def test_only_a_file_can_be_served(self, tmp_path: Path, name: str) -> None:
        project = Project(tmp_path)
        project.use(name)
        done = project.run("runzeo")
        assert done.returncode == 1 and "only a database file can be served" in done.stderr
        assert "Traceback" not in done.stderr

    def test_file_in_use_and_address_in_use(self, served: Callable[..., tuple]) -> None:
        project, _, address = served("--address=127.0.0.1:0")
        done = project.run("runzeo", "--address=127.0.0.1:0")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        project.use(str(project.folder / "other.fs"))
        done = project.run("runzeo", f"--address={address}")
        assert done.returncode == 1 and "already in use" in done.stderr

    def test_missing_folder(self, tmp_path: Path) -> None:
        project = Project(tmp_path)
        project.use(str(tmp_path / "nowhere" / "db.fs"))
        done = project.run("runzeo")
        assert done.returncode == 1 and "nowhere" in done.stderr and "Traceback" not in done.stderr
