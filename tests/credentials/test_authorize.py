"""Getting a drive_token.json by the browser, end to end against the embedded Drive's consent page."""

import json
import os
import pty
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import pytest
import urllib3
from click.testing import CliRunner, Result

from function.core.retry import Deadline
from function.credentials.account_credentials import Credentials
from local_runner.client import sign_in
from local_runner.client.sign_in import AuthorizationFailed, Client
from local_runner.commands import authorize
from local_runner.drive_emulator import DriveEmulator

DRIVE = "https://www.googleapis.com/auth/drive"


class _Form(HTMLParser):
    """The fields of a consent page, the first account chosen."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.action = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag == "form":
            self.action = about["action"] or ""
        elif tag in ("input", "button") and about.get("name") not in (None, "deny"):
            self.fields.setdefault(str(about["name"]), about["value"] or "")


def consent(page_url: str, **decision: str) -> str:
    """What a person does: open the page, choose; the address that the browser is sent to."""
    form = _Form(urllib3.request("GET", page_url).data.decode())
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(form.fields | decision)
    answer = urllib3.request("POST", urljoin(page_url, form.action), body=body, headers=headers, redirect=False)
    return str(answer.headers["Location"])


def in_a_browser(*visits: Callable[[str], object]) -> Callable[[str], object]:
    """Shows a page's URL to the visits, one after the other, in a thread of their own."""

    def show(url: str) -> None:
        threading.Thread(target=lambda: [visit(url) for visit in visits]).start()

    return show


def follow(address: str) -> int:
    """The browser going where it is sent; the status it finds there."""
    return urllib3.request("GET", address, retries=False).status


@pytest.fixture
def client(drive: DriveEmulator, tmp_path: Path) -> Client:
    """The OAuth client for the embedded Drive."""
    path = tmp_path / "client_secret.json"
    path.write_text(json.dumps({"installed": {"client_id": "our-app", "client_secret": "real", "token_uri": "x"}}))
    return sign_in.read_client(path, drive.url)


def signed_in(client: Client, scope: str, **options: Any) -> dict[str, Any]:
    """The content of the token file that a sign-in ends in."""
    contents: list[dict[str, Any]] = []
    sign_in.sign_in(client, scope, save=contents.append, **{"timeout_s": 20, **options})
    [content] = contents
    return content


def test_the_token_of_the_browser_works(
    drive: DriveEmulator, client: Client, source: Callable[..., Credentials]
) -> None:
    """Allowed on the page, redirected here: a token file that uploads and renews, and no real client secret in it."""
    content = signed_in(client, "drive.file", show=in_a_browser(lambda url: follow(consent(url))))

    assert content["scopes"] == [DRIVE + ".file"]
    assert content["token_uri"] == f"{drive.url}/token"
    assert "real" not in content.values()
    credentials = source(content)
    assert credentials.access_token(Deadline.after(10)) == content["token"]
    assert credentials.sees_only_own_files()
    assert drive.requests.count("oauth.token") == 1
    assert source({**content, "token": None}).access_token(Deadline.after(10)) != content["token"]


def test_strangers_at_the_port_change_nothing(client: Client) -> None:
    """A request without the state that only the page was told is refused and waited past, as is a silent connection."""
    statuses: list[int] = []

    def visit(url: str) -> None:
        address = consent(url)
        strangers = (address.partition("?")[0], address.replace("state=", "state=x"))
        statuses.extend(follow(stranger) for stranger in (*strangers, address))

    content = signed_in(client, "drive", show=in_a_browser(visit))

    assert content["refresh_token"]
    assert statuses[:2] == [400, 400]


def test_the_address_can_be_pasted(client: Client) -> None:
    """Where the browser is on another machine, the address it ended on is typed in, after a slip of the hand."""
    reading, writing = os.pipe()

    def paste(url: str) -> None:
        with open(writing, "w") as keyboard:
            keyboard.write("hello\n")
            keyboard.flush()
            keyboard.write(consent(url) + "\n")

    with open(reading) as typed:
        content = signed_in(client, "drive", show=in_a_browser(paste), typed=typed)

    assert content["refresh_token"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda address: address, "denied"),
        (lambda address: address.replace("error=access_denied", "code=made-up"), "code was used before or is too old"),
        (lambda address: address.replace("error=access_denied", "error=<script>"), "no reason given"),
    ],
)
def test_the_browser_never_says_done_of_what_failed(client: Client, spoil: Callable[[str], str], words: str) -> None:
    """Denied on the page, refused by the token endpoint: the browser is told what the terminal is told."""
    pages: list[str] = []

    def visit(url: str) -> None:
        pages.append(urllib3.request("GET", spoil(consent(url, deny="1"))).data.decode())

    with pytest.raises(AuthorizationFailed, match=words):
        signed_in(client, "drive", show=in_a_browser(visit))

    assert ["Not done: " in page and "Done:" not in page for page in pages] in ([True], [])


def test_a_token_that_cant_be_saved_is_not_done(client: Client) -> None:
    """The browser waits for the file too."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def fail(_: dict[str, Any]) -> None:
        raise AuthorizationFailed("disk full")

    with pytest.raises(AuthorizationFailed, match="disk full"):
        sign_in.sign_in(
            client,
            "drive",
            save=fail,
            show=in_a_browser(lambda url: heard.put(urllib3.request("GET", consent(url)).data.decode())),
        )

    assert "Not done: disk full" in heard.get(timeout=20)


def test_nobody_comes(client: Client) -> None:
    """Waiting has an end."""
    with pytest.raises(AuthorizationFailed, match="Nobody"):
        signed_in(client, "drive", show=lambda _: None, timeout_s=0.2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such client secret"),
        ("{", "is not valid JSON"),
        ("[]", "no OAuth client secret"),
        ('{"type": "service_account"}', "no OAuth client secret"),
        ('{"installed": {"client_id": "x"}}', "no OAuth client secret"),
    ],
)
def test_a_wrong_client_secret_is_told(tmp_path: Path, content: str | None, words: str) -> None:
    """The command says what is wrong with the file and how to get one."""
    path = tmp_path / "client_secret.json"
    if content is not None:
        path.write_text(content)

    outcome = CliRunner().invoke(authorize.command, ["--client-secret", str(path)], env={"DRIVE_EMULATOR_HOST": None})

    assert outcome.exit_code == 65
    assert words in outcome.output
    assert str(path) in outcome.output


@pytest.mark.parametrize("variable", ["DRIVE_UPLOAD_HOME", "DRIVE_UPLOAD_PATHS"])
def test_the_client_secret_is_looked_for_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Called from another folder, it is found where the documents put it; then comes one in this folder."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    value = home if variable == "DRIVE_UPLOAD_HOME" else home / "paths.json"

    def asked() -> str:
        return (
            CliRunner()
            .invoke(authorize.command, ["--scope", "drive"], env={"DRIVE_EMULATOR_HOST": None, variable: str(value)})
            .output
        )

    nowhere = asked()
    (here / "client_secret.json").write_text("[]")
    only_here = asked()
    (home / "client_secret.json").write_text("[]")
    in_both = asked()

    assert f"{home / 'client_secret.json'}: no such client secret" in nowhere
    assert f"Error: {here / 'client_secret.json'}: is no OAuth client secret" in only_here
    assert f"Error: {home / 'client_secret.json'}: is no OAuth client secret" in in_both


def test_without_a_home_the_client_secret_is_named_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file is looked for, from the root on, and the page that says how to get it."""
    monkeypatch.chdir(tmp_path)

    outcome = CliRunner().invoke(authorize.command, ["--scope", "drive"], env={"DRIVE_EMULATOR_HOST": None})

    assert outcome.exit_code == 65
    assert f"Error: {tmp_path}/client_secret.json: no such client secret; make one" in outcome.stderr
    assert "docs/google-setup.md" in outcome.stderr


TWO_ACCOUNTS = {
    "drive_root": "MemoryVDB",
    "accounts": {
        "mine": {"token": "secrets/mine.json"},
        "cloud": {"token": "application-default"},
        "boss": {"token": "key.json", "subject": "boss@example.com"},
    },
}
NEVER = {"DRIVE_EMULATOR_HOST": "127.0.0.1:9"}
"""An endpoint at which nobody listens: it isn't asked before all else is right."""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Result]:
    """Runs the command for a home with three accounts."""
    (tmp_path / "paths.json").write_text(json.dumps(TWO_ACCOUNTS))
    (tmp_path / "secrets").mkdir()

    def invoke(*arguments: str, **environ: str) -> Result:
        given = NEVER | {"DRIVE_UPLOAD_PATHS": str(tmp_path / "paths.json")} | environ
        return CliRunner().invoke(authorize.command, ["--no-browser", *arguments], env=given)

    return invoke


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scope", "drive"], "--account: say for which of the settings' accounts: mine, cloud, boss"),
        (["--scope", "drive", "--account", "x"], "there is no account 'x'; the settings have mine, cloud, boss"),
        (["--scope", "drive", "--account", "cloud"], "needs no token file"),
        (["--scope", "drive", "--account", "boss"], "acts for boss@example.com"),
        (["--account", "mine"], "--scope: say drive"),
    ],
)
def test_what_cant_be_meant_is_said_before_anyone_consents(
    run: Callable[..., Result], arguments: list[str], words: str
) -> None:
    """Wrong accounts, and a scope that nobody is there to be asked for, end before a page is shown."""
    outcome = run(*arguments)

    assert outcome.exit_code != 0
    assert words in outcome.output
    assert "Open this page" not in outcome.output


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("link", "is a link"),
        ("folder", "is no file"),
        ("key", "holds service_account credentials"),
        ("real", "a real token is never sent to an emulator"),
        ("client", "is the client secret"),
        ("no folder", "nothing can be written there"),
    ],
)
def test_a_place_that_cant_take_the_token_is_found_before_anyone_consents(
    run: Callable[..., Result], tmp_path: Path, there: str, words: str
) -> None:
    """What is in the token's place and isn't a token of the same Drive is kept, and said so first."""
    path, secret = tmp_path / "secrets/mine.json", tmp_path / "client_secret.json"
    person = {"type": "authorized_user", "refresh_token": "1//0", "client_id": "id", "client_secret": "cs"}
    match there:
        case "link":
            path.symlink_to(secret)
        case "folder":
            path.mkdir()
        case "key":
            path.write_text(json.dumps({"type": "service_account", "client_email": "a@b", "private_key": "x"}))
        case "real":
            path.write_text(json.dumps(person))
        case "client":
            secret = path
            path.write_text("{}")
        case _:
            path.parent.rmdir()
    before = path.read_bytes() if path.is_file() else None

    outcome = run("--account", "mine", "--scope", "drive", "--client-secret", str(secret))

    assert (outcome.exit_code, words in outcome.output) == (65, True), outcome.output
    assert "Open this page" not in outcome.output
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("paths.json", "is one of the home's own files"),
        ("upload_log.json", "is one of the home's own files"),
        ("Data/a.txt", "lies in data_root"),
        ("Data/new.json", "lies in data_root"),
        ("notes.txt", "holds something else than a token"),
    ],
)
def test_a_token_takes_no_other_files_place(run: Callable[..., Result], tmp_path: Path, place: str, words: str) -> None:
    """What --token names is kept where it is an own file, a source or no token, and said so first."""
    (tmp_path / "Data").mkdir()
    for name in ("Data/a.txt", "notes.txt"):
        (tmp_path / name).write_text("mine")
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}

    outcome = run("--token", str(tmp_path / place), "--scope", "drive")

    assert words in outcome.output
    assert "Open this page" not in outcome.output
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == before


def test_a_damaged_token_is_replaced_where_the_settings_want_it(run: Callable[..., Result], tmp_path: Path) -> None:
    """Whether --token or --account names it: what is asked next is the scope."""
    path = tmp_path / "secrets/mine.json"
    path.write_text("{half")

    for named in (["--token", str(path)], ["--account", "mine"]):
        assert "--scope: say drive" in run(*named).output


def test_a_terminal_is_asked_for_the_scope(tmp_path: Path) -> None:
    """At a terminal both scopes are explained, for whom each is, before one is chosen."""
    here, there = pty.openpty()
    environment = {**os.environ, **NEVER, "DRIVE_UPLOAD_HOME": str(tmp_path)}
    program = "from local_runner.commands.authorize import command; command(['--no-browser'])"
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=there, stdout=-1, stderr=-1, text=True
    ) as process:
        os.write(here, b"drive\n")
        assert process.stderr is not None
        shown = ""
        while "Open this page" not in shown:
            line = process.stderr.readline()
            assert line, shown
            shown += line
        url = next(line.strip() for line in process.stderr if line.strip().startswith("http"))
        process.terminate()
    os.close(here)
    os.close(there)

    assert "second one will be made beside it" in " ".join(shown.split())
    assert parse_qs(urlsplit(url).query)["scope"] == [DRIVE]


NO_PROXIES = dict.fromkeys(
    [each for name in ("https_proxy", "http_proxy", "all_proxy", "no_proxy") for each in (name, name.upper())], ""
)
GOOGLES_CLIENT = {"installed": {"client_id": "x.apps.googleusercontent.com", "client_secret": "GOCSPX-Canary0Secret"}}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("HTTPS_PROXY", "socks5://user:Canary0Secret@proxy:1080", "HTTPS_PROXY: socks5 proxies are not supported"),
        ("ALL_PROXY", "http://user:Canary0Secret@proxy:port", "ALL_PROXY: its port or address is malformed"),
        ("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem", "REQUESTS_CA_BUNDLE: /nowhere/ca.pem can't be read"),
        ("DRIVE_EMULATOR_HOST", "http://drive.example", "DRIVE_EMULATOR_HOST: 'http://drive.example' is another"),
    ],
)
def test_a_way_out_that_cant_be_is_found_before_anyone_consents(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    """One sentence, exit 78, and no page: a code that nobody can exchange would be lost."""
    (tmp_path / "client_secret.json").write_text(json.dumps(GOOGLES_CLIENT))
    environment = {**NO_PROXIES, "DRIVE_EMULATOR_HOST": "", "DRIVE_UPLOAD_HOME": str(tmp_path), variable: value}

    outcome = CliRunner().invoke(authorize.command, ["--no-browser", "--scope", "drive"], env=environment)

    assert outcome.exit_code == 78
    assert outcome.output.startswith(f"Error: {words}")
    assert len(outcome.output.splitlines()) == 1
    assert "Canary0Secret" not in outcome.output


def test_a_proxy_that_nobody_answers_at_is_named(tmp_path: Path) -> None:
    """As for uploads: its address and variable without the password, at the terminal and on the browser's page."""
    (tmp_path / "client_secret.json").write_text(json.dumps(GOOGLES_CLIENT))
    environment = {**os.environ, **NO_PROXIES, "DRIVE_EMULATOR_HOST": "", "DRIVE_UPLOAD_HOME": str(tmp_path)}
    environment["HTTPS_PROXY"] = "http://user:Canary0Secret@127.0.0.1:9"
    program = "from local_runner.commands.authorize import command; command(['--no-browser', '--scope', 'drive'])"
    arguments: dict[str, Any] = {"stdin": -1, "stdout": -1, "stderr": -1, "text": True}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, **arguments) as process:
        assert process.stderr is not None
        url = next(line.strip() for line in process.stderr if line.strip().startswith("http"))
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

        page = urllib3.request("GET", f"{asked['redirect_uri']}?state={asked['state']}&code=4/x", retries=False)

        _, errors = process.communicate(timeout=20)

    assert process.returncode == 65
    assert page.status == 200
    for told in (page.data.decode(), errors):
        assert "The proxy http://127.0.0.1:9 (HTTPS_PROXY) lets nothing through to oauth2.googleapis.com" in told
        assert "Canary0Secret" not in told
    assert "Traceback" not in errors


def test_the_command_end_to_end(drive: DriveEmulator, tmp_path: Path) -> None:
    """The command shows a page, waits, and writes the account's token with mode 0600; the emulator needs no client."""
    program = "from local_runner.commands.authorize import command; command()"
    arguments: dict[str, Any] = {"stdin": -1, "stdout": -1, "stderr": -1, "text": True}
    environment = {**os.environ, "DRIVE_EMULATOR_HOST": drive.url.removeprefix("http://")}
    environment["DRIVE_UPLOAD_PATHS"] = str(tmp_path / "paths.json")
    accounts = {"mine": {"token": "t.json"}, "other": {"token": "o.json"}}
    (tmp_path / "paths.json").write_text(json.dumps({"drive_root": "MemoryVDB", "accounts": accounts}))
    options = ["--no-browser", "--scope", "drive", "--account", "mine"]
    options += ["--client-secret", str(tmp_path / "none.json")]
    with subprocess.Popen([sys.executable, "-c", program, *options], env=environment, **arguments) as process:
        assert process.stderr is not None
        url = next(line.strip() for line in process.stderr if line.strip().startswith("http"))

        assert follow(consent(url)) == 200

        output, _ = process.communicate(timeout=20)
    assert (process.returncode, "t.json" in output) == (0, True)
    assert (tmp_path / "t.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "t.json").read_text())["scopes"] == [DRIVE]
