"""What pages in a browser can do to an emulator on the same machine: nothing, unless its owner lets them."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium import webdriver

from local_runner.drive_emulator import DriveEmulator, ServerOptions
from local_runner.drive_emulator.oauth.endpoints import CLIENT_ID, CLIENT_SECRET
from tests.emulator.wire import Api

PERMITTED = "http://app.example:3000"
TRADE = {
    "grant_type": "refresh_token",
    "refresh_token": "1//anything",
    "client_id": CLIENT_ID,
    "client_secret": CLIENT_SECRET,
}
CONSENT = {
    "client_id": "an-app",
    "redirect_uri": "http://127.0.0.1:1/back",
    "response_type": "code",
    "scope": "https://www.googleapis.com/auth/drive",
}

ATTACK = """
const [url, trade, done] = arguments;
const form = new URLSearchParams(trade);
const tries = {
  token: () => fetch(url + '/token', {method: 'POST', body: form}),
  files: () => fetch(url + '/emulator/files'),
  api: () => fetch(url + '/drive/v3/files', {headers: {Authorization: 'Bearer known'}}),
  discovery: () => fetch(url + '/discovery/v1/apis/drive/v3/rest'),
  blind: () => fetch(url + '/emulator/accounts', {method: 'POST', mode: 'no-cors', body: '{"email": "eve@e.example"}'}),
  blindRead: () => fetch(url + '/emulator/files', {mode: 'no-cors'}),
  patch: () => fetch(url + '/emulator/weather', {method: 'PATCH', body: '{"error_rate": 1}'}),
  beacon: () => navigator.sendBeacon(url + '/emulator/faults', '{"do": "reset_before"}') && Promise.reject('blind'),
  picture: () => new Promise((good, bad) => {
    const image = new Image();
    image.onload = () => good({text: () => 'loaded'});
    image.onerror = () => bad('not loaded');
    image.src = url + '/emulator/requests';
  }),
};
Promise.all(Object.entries(tries).map(async ([name, attempt]) => {
  try { return [name, await (await attempt()).text()]; } catch (error) { return [name, null]; }
})).then(told => done(Object.fromEntries(told)));
"""
"""Everything a script can try; what each try could read, null for nothing."""

POST_A_FORM = """
const [action, fields] = arguments;
const form = document.createElement('form');
form.method = 'post';
form.action = action;
for (const [name, value] of Object.entries(fields)) {
  const field = document.createElement('input');
  field.name = name;
  field.value = value;
  form.append(field);
}
document.body.append(form);
form.submit();
"""


@pytest.fixture
def foreign_page() -> Iterator[str]:
    """The URL of a page on another origin: another port of this machine, which is the nearest that a page can be."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>foreign</title><body>A page of somebody else.")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A Chromium without a window that talks to this machine only."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    environment = {**os.environ, "SE_OFFLINE": "true", "no_proxy": "*"}
    with webdriver.Chrome(options, webdriver.ChromeService(driver, env=environment)) as running:
        running.set_script_timeout(30)
        yield running


def test_a_page_of_another_origin_gets_nothing_in_a_real_browser(
    drive: DriveEmulator, foreign_page: str, browser: webdriver.Chrome
) -> None:
    """Its scripts read no token, no file and no record; its blind posts change nothing."""
    drive.accept_token("known")
    browser.get(foreign_page)

    told = browser.execute_async_script(ATTACK, drive.url, TRADE)

    assert set(told) >= {"token", "files", "api", "beacon", "picture"}
    assert {name: text for name, text in told.items() if text} == {}
    asked = [record for record in drive.requests if record.method_id != "unknown"]
    assert {record.status for record in asked} == {403}
    assert {record.method_id for record in asked} == {"browser.policy"}
    assert list(drive.drive.store.accounts) == ["user@example.com", "other@example.com"]


def test_a_form_of_another_page_allows_no_app(
    drive: DriveEmulator, foreign_page: str, browser: webdriver.Chrome
) -> None:
    """A real browser says where the form came from; nothing is granted and nothing redirected."""
    browser.get(foreign_page)

    browser.execute_script(POST_A_FORM, f"{drive.url}/o/oauth2/v2/auth", {**CONSENT, "account": "user@example.com"})

    assert "may not use the emulator" in browser.find_element("tag name", "body").text
    assert drive.drive.oauth.codes == {}


def test_a_link_from_another_page_leads_to_the_consent_page(
    drive: DriveEmulator, foreign_page: str, browser: webdriver.Chrome
) -> None:
    """An app's page sends people there; so a link is followed, and the person decides on the emulator's own page."""
    browser.get(foreign_page)
    address = requests.Request("GET", f"{drive.url}/o/oauth2/v2/auth", params=CONSENT).prepare().url

    browser.execute_script("location.href = arguments[0]", address)

    assert browser.find_element("tag name", "h1").text == "Choose an account"


def test_the_consent_form_needs_the_token_of_its_page(drive: DriveEmulator) -> None:
    """A post that never saw the page is refused, even where it names no origin."""
    url = f"{drive.url}/o/oauth2/v2/auth"

    blind = requests.post(url, data={**CONSENT, "account": "user@example.com"}, allow_redirects=False, timeout=10)
    guessed = requests.post(
        url, data={**CONSENT, "account": "user@example.com", "form_token": "x"}, allow_redirects=False, timeout=10
    )

    assert (blind.status_code, guessed.status_code) == (400, 400)
    assert drive.drive.oauth.codes == {}


@pytest.mark.parametrize("path", ["/", "/emulator/files", "/token", "/drive/v3/files", "/o/oauth2/auth"])
def test_a_name_that_was_bent_here_is_refused(api: Api, path: str) -> None:
    """DNS rebinding: the page's own origin and the host agree, and neither is a name of the emulator."""
    headers = {"Host": "evil.example:9099", "Origin": "http://evil.example:9099"}

    answer = api.call("GET", path, headers=headers)

    assert api.reason(answer) == (403, "forbidden")
    assert "evil.example" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost:9099",
        "drive.localhost",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]:9099",
        "192.168.1.20:9099",
        "drive-emulator:9099",
        "host.docker.internal:9099",
        "www.googleapis.com",
        "oauth2.googleapis.com",
        "accounts.google.com",
        "WWW.GoogleAPIs.com",
    ],
)
def test_local_names_addresses_and_googles_names_are_taken(api: Api, host: str) -> None:
    """Clients whose names are bent by DNS or a proxy send Google's; the rest no web site can have."""
    assert api.call("GET", "/drive/v3/files", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["googleapis.com.evil.example", "evilgoogleapis.com", "localhost.evil.example", ""])
def test_names_that_only_look_like_ours_are_refused(api: Api, host: str) -> None:
    """A name is taken whole."""
    assert api.call("GET", "/drive/v3/files", headers={"Host": host}).status_code == 403


def test_a_name_is_taken_where_the_owner_says_so() -> None:
    """`--allow-host`."""
    with DriveEmulator(options=ServerOptions(allow_hosts=["Drive.Example"])) as drive:
        answer = Api(drive).call("GET", "/drive/v3/files", headers={"Host": "drive.example:9099"})

    assert answer.status_code == 200


@pytest.mark.parametrize("fetched", [("cross-site", "no-cors", "image"), ("same-site", "navigate", "iframe")])
def test_what_a_foreign_page_embeds_is_refused(api: Api, fetched: tuple[str, str, str]) -> None:
    """Pictures, scripts and frames name no origin; the browser says all the same where they come from."""
    headers = dict(zip(("Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"), fetched, strict=True))

    assert api.call("GET", "/emulator/requests", headers=headers).status_code == 403


def test_a_permitted_origin_may_use_the_api_and_nothing_else() -> None:
    """`--allow-origin`: its pre-flights are answered and its answers readable; no token is traded."""
    with DriveEmulator(options=ServerOptions(allow_origins=[PERMITTED])) as drive:
        api, origin = Api(drive), {"Origin": PERMITTED}
        asked = {**origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization"}
        preflight = requests.options(f"{drive.url}/drive/v3/files/x", headers=asked, timeout=10)
        read = api.call("GET", "/drive/v3/files", headers=origin)
        refused = api.call("GET", "/drive/v3/files/nowhere", headers=origin)
        own = api.call("GET", "/emulator/files", headers=origin)
        token = api.call("POST", "/token", data=TRADE, headers=origin)
        other = api.call("GET", "/drive/v3/files", headers={"Origin": "http://other.example:3000"})

    assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization"
    answers = (preflight, read, refused, own, token, other)
    assert [answer.status_code for answer in answers] == [200, 200, 404, 403, 403, 403]
    assert [answer.headers.get("Access-Control-Allow-Origin") for answer in answers] == [*[PERMITTED] * 3, *[None] * 3]


def test_an_origin_that_is_none_is_refused_at_the_start() -> None:
    """A path or a bare name would never match what browsers send."""
    with pytest.raises(ValueError, match="no origin"):
        DriveEmulator(options=ServerOptions(allow_origins=["app.example"]))


def test_a_batch_reaches_the_api_only(api: Api) -> None:
    """A call inside a batch is none of the emulator's own addresses, nor the token endpoint."""
    parts = "".join(
        f"--B\r\nContent-Type: application/http\r\n\r\n{call}\r\n\r\n\r\n"
        for call in ("GET /emulator/files", "POST /token", "GET /drive/v3/about?fields=user")
    )
    answer = api.call(
        "POST", "/batch/drive/v3", data=f"{parts}--B--", headers={"Content-Type": "multipart/mixed; boundary=B"}
    )

    assert [line.split()[1] for line in answer.text.splitlines() if line.startswith("HTTP/1.1")] == [
        "400",
        "400",
        "200",
    ]
    assert json.loads(answer.text[answer.text.index('{"user') :].partition("\r\n")[0])["user"]
