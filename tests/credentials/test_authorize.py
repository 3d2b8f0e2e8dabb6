"""Getting a drive_token.json by the browser, end to end against the embedded Drive's consent page."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
import urllib3
from click.testing import CliRunner

from function.core.deadline import Deadline
from function.credentials.account_credentials import Credentials
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
def client(drive: DriveEmulator, tmp_path: Path) -> authorize.Client:
    """The OAuth client of a client-secret file, at the embedded Drive."""
    path = tmp_path / "client_secret.json"
    path.write_text(
        json.dumps({"installed": {"client_id": "our-app", "client_secret": "shh", "token_uri": "https://x"}})
    )
    return authorize.read_client(path, drive.url)


def test_the_token_of_the_browser_works(
    drive: DriveEmulator, client: authorize.Client, token_path: Path, source: Callable[..., Credentials]
) -> None:
    """Allowed on the page, redirected here: a token file that uploads and renews."""
    content = authorize.authorize(
        client, DRIVE + ".file", show=in_a_browser(lambda url: follow(consent(url))), timeout_s=20
    )

    assert content["scopes"] == [DRIVE + ".file"]
    assert (content["client_id"], content["token_uri"]) == ("our-app", f"{drive.url}/token")
    assert source(content).access_token(Deadline.after(10)) == content["token"]
    assert drive.requests.count("oauth.token") == 1
    assert source({**content, "token": None}).access_token(Deadline.after(10)) != content["token"]


def test_strangers_at_the_port_change_nothing(client: authorize.Client) -> None:
    """A request without the state that only the page was told is refused and waited past, as is a silent connection."""
    statuses: list[int] = []

    def visit(url: str) -> None:
        address = consent(url)
        strangers = (address.partition("?")[0], address.replace("state=", "state=x"))
        statuses.extend(follow(stranger) for stranger in (*strangers, address))

    content = authorize.authorize(client, DRIVE, show=in_a_browser(visit), timeout_s=20)

    assert content["refresh_token"]
    assert statuses[:2] == [400, 400]


def test_the_address_can_be_pasted(client: authorize.Client) -> None:
    """Where the browser is on another machine, the address it ended on is typed in, after a slip of the hand."""
    reading, writing = os.pipe()

    def paste(url: str) -> None:
        with open(writing, "w") as keyboard:
            keyboard.write("hello\n")
            keyboard.flush()
            keyboard.write(consent(url) + "\n")

    with open(reading) as typed:
        content = authorize.authorize(client, DRIVE, show=in_a_browser(paste), typed=typed, timeout_s=20)

    assert content["refresh_token"]


def test_a_denial_is_told(client: authorize.Client) -> None:
    """Cancel on the page ends with a sentence."""
    with pytest.raises(authorize.AuthorizationFailed, match="denied"):
        authorize.authorize(client, DRIVE, show=in_a_browser(lambda url: follow(consent(url, deny="1"))), timeout_s=20)


def test_nobody_comes(client: authorize.Client) -> None:
    """Waiting has an end."""
    with pytest.raises(authorize.AuthorizationFailed, match="Nobody"):
        authorize.authorize(client, DRIVE, show=lambda _: None, timeout_s=0.2)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such client secret"),
        ("{", "can't be read"),
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

    assert outcome.exit_code == 1
    assert words in outcome.output
    assert str(path) in outcome.output


def test_the_command_end_to_end(drive: DriveEmulator, tmp_path: Path) -> None:
    """The command prints the page's URL, waits, and writes the token with mode 0600; the emulator needs no client."""
    program = "from local_runner.commands.authorize import command; command()"
    arguments: dict[str, Any] = {"stdin": -1, "stdout": -1, "stderr": -1, "text": True}
    environment = {**os.environ, "DRIVE_EMULATOR_HOST": drive.url.removeprefix("http://")}
    options = ["--no-browser", "--scope", "drive", "--token", str(tmp_path / "t.json")]
    options += ["--client-secret", str(tmp_path / "none.json")]
    with subprocess.Popen([sys.executable, "-c", program, *options], env=environment, **arguments) as process:
        assert process.stderr is not None
        url = next(line.strip() for line in process.stderr if line.strip().startswith("http"))

        assert follow(consent(url)) == 200

        output, _ = process.communicate(timeout=20)
    assert (process.returncode, "t.json" in output) == (0, True)
    assert (tmp_path / "t.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "t.json").read_text())["scopes"] == [DRIVE]
