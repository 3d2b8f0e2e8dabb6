"""The browse pages in a real browser, and their HTML where a browser adds nothing."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google_auth_httplib2
import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build_from_document
from googleapiclient.http import MediaInMemoryUpload
from msgspec.structs import replace
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.wait import WebDriverWait

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.model.records import FOLDER
from local_runner.drive_emulator.schema import discovery
from tests.support.browser import chromium

NASTY = "<script>document.title='owned'</script> & \"quotes\" Ünïcode 📁"


@pytest.fixture(scope="module")
def drive() -> Iterator[DriveEmulator]:
    """An emulator with two accounts, a folder with twins, a nasty name, a file with two revisions, a bin."""
    with DriveEmulator(emails=("ann@example.com", "bob@example.com")) as emulator:
        fill(emulator)
        yield emulator


def fill(emulator: DriveEmulator) -> None:
    """Make the files, through Google's own client."""
    credentials = emulator.authorized_user("ann@example.com")
    service: Any = build_from_document(discovery.served(3, emulator.url), http=authorized(credentials["token"]))
    files = service.files()
    vault = files.create(body={"name": "MemoryVDB", "mimeType": FOLDER}).execute()["id"]
    meta = files.create(body={"name": "Meta", "mimeType": FOLDER, "parents": [vault]}).execute()["id"]
    for name, content in (
        ("twin.txt", b"one"),
        ("twin.txt", b"two"),
        (NASTY, b"nasty"),
        ("file10", b""),
        ("file9", b""),
    ):
        body = {"name": name, "parents": [meta], "properties": {"zone": "Meta"}, "appProperties": {"key": "secret"}}
        files.create(body=body, media_body=MediaInMemoryUpload(content, "text/plain")).execute()
    story = files.create(
        body={"name": "story.txt", "parents": [meta], "description": "Two drafts."},
        media_body=MediaInMemoryUpload(b"first draft", "text/plain"),
    ).execute()["id"]
    files.update(fileId=story, media_body=MediaInMemoryUpload(b"second draft", "text/plain")).execute()
    thrown = files.create(body={"name": "thrown away.txt", "parents": [meta]}).execute()["id"]
    files.update(fileId=thrown, body={"trashed": True}).execute()
    service.close()


def authorized(token: str) -> Any:
    """An HTTP object that carries the access token."""
    return google_auth_httplib2.AuthorizedHttp(Credentials(token))  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium, that downloads into a folder of its own."""
    downloads = {"download.default_directory": str(tmp_path_factory.mktemp("downloads"))}
    with chromium(tmp_path_factory.mktemp("chromium"), downloads) as started:
        yield started


def follow(browser: webdriver.Chrome, label: str) -> None:
    """Click the link of that label."""
    browser.find_element(By.LINK_TEXT, label).click()


def heading(browser: webdriver.Chrome) -> str:
    """The page's heading."""
    return browser.find_element(By.TAG_NAME, "h1").text


def test_a_person_finds_a_file_by_clicking(drive: DriveEmulator, browser: webdriver.Chrome) -> None:
    """From the accounts through folders to a file, with its digest, properties and revisions, and back."""
    browser.get(drive.url)
    cards = browser.find_elements(By.CSS_SELECTOR, ".card h2")
    assert [card.text for card in cards] == ["Ann", "Bob"]

    follow(browser, "My Drive")
    follow(browser, "MemoryVDB")
    follow(browser, "Meta")
    names = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "td.name a")]
    follow(browser, "story.txt")

    assert names == [NASTY, "file9", "file10", "story.txt", "twin.txt", "twin.txt"]
    page = browser.find_element(By.TAG_NAME, "main").text
    assert hashlib.sha256(b"second draft").hexdigest() in page
    assert "Two drafts." in page
    assert len(browser.find_elements(By.LINK_TEXT, "download")) == 2
    follow(browser, "MemoryVDB")
    assert heading(browser) == "MemoryVDB"


def test_twins_are_marked_and_names_stay_text(drive: DriveEmulator, browser: webdriver.Chrome) -> None:
    """Two files of one name are legal and shown as such; a name that looks like a script isn't one."""
    meta = next(file for file in drive.files() if file["name"] == "Meta")
    browser.get(f"{drive.url}/?id={meta['id']}")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".tag")) == 2

    follow(browser, NASTY)

    assert heading(browser) == NASTY
    assert browser.title == f"{NASTY} - Drive emulator"
    cells = [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "td")]
    assert {"zone", "Meta", "key", "secret"} <= set(cells)


def test_the_bin_shows_what_was_thrown_away(drive: DriveEmulator, browser: webdriver.Chrome) -> None:
    """A file in the bin is listed there, and no more in its folder."""
    browser.get(drive.url)

    follow(browser, "Bin (1)")

    assert heading(browser) == "Bin of Ann"
    assert [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "td.name a")] == ["thrown away.txt"]


def test_every_page_is_sound_for_those_who_do_not_see_it(drive: DriveEmulator, browser: webdriver.Chrome) -> None:
    """Each page has one heading, a main landmark, a language, labelled columns, and fits a narrow screen."""
    story = next(file for file in drive.files() if file["name"] == "story.txt")
    browser.set_window_size(500, 800)

    for path in ("/", f"/?id={story['parents'][0]}", f"/?id={story['id']}", "/?bin=ann@example.com"):
        browser.get(drive.url + path)
        found = {name: len(browser.find_elements(By.CSS_SELECTOR, name)) for name in ("h1", "main", "html[lang]")}
        assert found == {"h1": 1, "main": 1, "html[lang]": 1}, path
        assert not browser.find_elements(By.CSS_SELECTOR, "th:not([scope])")
        assert all(link.text.strip() for link in browser.find_elements(By.CSS_SELECTOR, "main a"))
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= 500, path
        problems = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
        assert problems == []
    browser.set_window_size(1200, 900)


def test_a_person_allows_an_app_by_clicking(drive: DriveEmulator, browser: webdriver.Chrome) -> None:
    """On the consent page a click on an account leads back to the app with a code and the state."""
    request = "client_id=app&response_type=code&scope=https://www.googleapis.com/auth/drive&state=s1"
    browser.get(f"{drive.url}/o/oauth2/v2/auth?{request}&redirect_uri={drive.url}/emulator/weather")

    browser.find_element(By.CSS_SELECTOR, "button[value='bob@example.com']").click()

    WebDriverWait(browser, 20).until(expected_conditions.url_contains("state=s1&code=4"))
    assert browser.current_url.startswith(f"{drive.url}/emulator/weather?state=s1&code=4")


def fetched(url: str) -> tuple[int, bytes, str]:
    """Status, body and Content-Disposition of a GET."""
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read(), answer.headers.get("Content-Disposition", "")
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read(), ""


def test_downloads_give_present_and_former_content(drive: DriveEmulator, tmp_path: Path) -> None:
    """The links give the head and the older revision, under the file's name."""
    story = next(file for file in drive.files() if file["name"] == "story.txt")
    oldest = drive.drive.store.revisions[story["id"]][0].id
    base = f"{drive.url}/emulator/download?id={story['id']}"

    assert fetched(base) == (200, b"second draft", "attachment; filename*=UTF-8''story.txt")
    assert fetched(f"{base}&revision={oldest}")[1] == b"first draft"
    assert fetched(f"{base}&revision=none")[0] == 404


@pytest.mark.parametrize("path", ["/?id=none", "/?bin=nobody@example.com", "/?about=x"])
def test_what_is_not_there_is_a_page_with_404(drive: DriveEmulator, path: str) -> None:
    """A wrong id or address is said so."""
    status, body, _ = fetched(drive.url + path)

    assert status == 404
    assert b"There is no" in body


def test_a_large_folder_comes_in_pages(drive: DriveEmulator) -> None:
    """Five hundred rows a page; the next page has the rest."""
    emulator_files = drive.drive
    with DriveEmulator() as large:
        account = next(iter(large.drive.store.accounts.values()))
        example = next(iter(emulator_files.store.files.values()))
        for number in range(501):
            record = replace(
                example, id=f"F{number}", name=f"n{number}", parents=(account.root_id,), owner=account.email
            )
            large.drive.store.put_silently(record)

        first = fetched(f"{large.url}/?id={account.root_id}")[1].decode()
        second = fetched(f"{large.url}/?id={account.root_id}&page=2")[1].decode()

    assert (first.count('class="name"'), second.count('class="name"')) == (500, 1)
    assert "Next page" in first
    assert "Previous page" in second
