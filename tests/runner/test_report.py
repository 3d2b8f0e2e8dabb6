"""The report page: whole HTML, safe whatever the log holds, and useful in a real browser."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from local_runner.log.advice import ADVICE
from local_runner.terminal.report import charts
from local_runner.terminal.report.summary import Totals
from tests.support.browser import chromium
from tests.support.privileges import permissions_count

Run = Callable[..., Result]

VOID = {"meta", "br", "link", "rect", "input"}

WAIT_S = 60


def write_log(path: Path, entries: list[dict[str, Any]]) -> None:
    """A log in the job's layout."""
    path.write_text("[\n" + ",\n".join(json.dumps(each) for each in entries) + "\n]\n", encoding="utf-8")


class _Page(HTMLParser):
    """Checks that tags are closed in order, and collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(page: str) -> _Page:
    """The page, found well-formed."""
    found = _Page()
    found.feed(page)
    assert found.open == []
    return found


HOSTILE: list[dict[str, Any]] = [
    {"time": "2026-11-21T10:00:00Z", "path": "Data/<script>alert(1)</script>", "status": "failed", "reason": "network",
     "message": "</th></table></script><script>alert(1)</script><img src=x onerror=alert(1)>",
     "account": '"><b>', "size": None},
    {"time": '"><svg onload=alert(1)>', "path": "Data/\udcff\x1b[31m", "status": "<i>", "destination": "M/'\"&",
     "link": "javascript:alert(1)", "size": "12"},
    {"time": "2026-11-22T10:00:00Z", "path": "Data/ok", "status": "uploaded", "destination": "M/ok", "size": 1,
     "link": 'https://drive.google.com/"onclick="alert(1)'},
]  # fmt: skip


def test_the_report_is_whole_html_with_everything_escaped(home: Path, run: Run) -> None:
    """Names, messages and links from the log stay text; nothing is loaded from elsewhere; the only script is ours."""
    write_log(home / "upload_log.json", HOSTILE)

    result = run("report", "-o", str(home / "report.html"))

    assert result.exit_code == 0
    page = parsed((home / "report.html").read_text(encoding="utf-8"))
    names = [name for name, _ in page.tags]
    assert not {"img", "i"} & set(names)
    assert names.count("script") == 2
    assert names.count("svg") == 3 + 2  # over time, and one for each zone and account
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    away = [each["href"] for name, each in page.tags if name == "a" and not str(each["href"]).startswith("#")]
    assert away == ['https://drive.google.com/"onclick="alert(1)']
    assert "Data/<script>alert(1)</script>" in page.text
    assert "Data/\\xff\\x1b[31m" in page.text


def test_the_report_can_be_read_without_eyes_and_colours(home: Path, run: Run) -> None:
    """Language, title, caption and scopes are there; a status has a sign besides its colour."""
    write_log(home / "upload_log.json", HOSTILE)

    page = parsed(run("report", "-o", "-").stdout)

    assert ("html", {"lang": "en"}) in page.tags
    assert [name for name, _ in page.tags].count("caption") == 3
    assert all("scope" in attributes for name, attributes in page.tags if name == "th")
    assert next(attributes for name, attributes in page.tags if name == "svg")["role"] == "img"
    assert "✗ failed" in page.text


@pytest.mark.parametrize(
    "place", ["upload_log.json", "drive_token.json", "paths.json", "Data/Meta/a.txt", "Data/Meta/b.txt", "link", "hard"]
)
@pytest.mark.parametrize("are_there", [True, False])
def test_the_report_takes_no_other_files_place(home: Path, run: Run, place: str, are_there: bool) -> None:
    """Neither an own file's, be it there or not, nor a source's, by whatever name."""
    for name in ("upload_log.json", "drive_token.json") if are_there else ():
        (home / name).write_text("[\n]\n")
    (home / "link").symlink_to("drive_token.json")
    (home / "hard").hardlink_to(home / "Data/Notes/c.txt")
    before = {each: each.read_bytes() for each in home.rglob("*") if each.is_file()}

    result = run("report", "--output", place)

    assert result.exit_code == 64
    assert f"--output: {place} is " in result.stderr
    assert {each: each.read_bytes() for each in home.rglob("*") if each.is_file()} == before


def test_a_report_takes_the_place_of_a_report(home: Path, run: Run) -> None:
    """Also where all of the home is data_root, and of an empty file that was made for it."""
    (home / "paths.json").write_text('{"drive_root": "M", "data_root": "."}')
    assert [run("report").exit_code, run("report").exit_code] == [0, 0]
    assert (home / "upload_report.html").stat().st_mode & 0o777 == 0o600  # as the log's, which it shows

    (home / "paths.json").write_text('{"drive_root": "M"}')
    (home / "made.html").touch()
    assert run("report", "-o", "made.html").exit_code == 0


def test_a_home_folder_that_is_out_of_reach_stops_no_report(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HOME may be another user's: no file that isn't there yet, and none with one name, is a credential in it."""
    closed = home / "closed"
    closed.mkdir(0)
    monkeypatch.setenv("HOME", str(closed))

    with permissions_count():
        results = [run("report", "-o", "page.html") for _ in range(2)]
        own = run("report", "-o", "drive_token.json")

    closed.chmod(0o700)
    assert [(each.exit_code, each.stderr) for each in results] == [(0, ""), (0, "")]
    assert own.exit_code == 64


def test_the_report_of_a_fresh_home_says_so(run: Run) -> None:
    """No log gives a page too."""
    page = run("report", "-o", "-").stdout

    assert "No attempts yet." in page
    assert "Nothing: whatever was called for has arrived." in page


def attempts(count: int) -> list[dict[str, Any]]:
    """A log of two months: five zones, two accounts; every 97th failed, all but the last five of them mended later."""
    found = []
    for n in range(count):
        minutes = n * 60 * 24 * 60 // count
        day, hour, minute = 1 + minutes // 1440 % 30, minutes // 60 % 24, minutes % 60
        path = f"Data/Zone {n % 5}/memory-{n}.txt"
        entry: dict[str, Any] = {
            "time": f"2026-{9 + minutes // 43200:02}-{day:02}T{hour:02}:{minute:02}:00.000Z",
            "invocation_id": f"{n:032x}", "account": "me" if n % 3 else "team", "path": path,
            "destination": f"MemoryVDB/Zone {n % 5}/memory-{n}.txt", "status": "uploaded", "reason": None,
            "message": None, "retryable": False, "attempt": 1, "file_id": f"1{n:032}",
            "link": f"https://drive.google.com/file/d/1{n:032}/view?usp=drivesdk", "size": n, "sha256": "0" * 64,
            "md5": "0" * 32, "duration_s": 0.4, "requests": 2, "units": 150, "metadata": {}, "if_exists": None,
        }  # fmt: skip
        if n % 97 == 0:
            failed = {"status": "failed", "reason": "storage_quota_exceeded", "retryable": True, "link": None}
            found.append({**entry, **failed, "message": f"{path}: the Drive of this account is full."})
            if n > count - 5 * 97:
                continue
        found.append(entry)
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Chromium."""
    with chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def opened(browser: webdriver.Chrome, page: Path, *, width: int = 1280, dark: bool = False) -> None:
    """Show the page on a screen of that width, and wait until its script has run."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get_log("performance")  # type: ignore[no-untyped-call]
    browser.get(page.as_uri())
    WebDriverWait(browser, WAIT_S).until(
        lambda _: browser.execute_script("return document.documentElement.dataset.ready")
    )


def listed(browser: webdriver.Chrome) -> int:
    """Rows of the table of attempts."""
    return len(browser.find_elements(By.CSS_SELECTOR, "#rows tr"))


def counted(browser: webdriver.Chrome, start: str) -> None:
    """Wait until the table's caption begins so."""
    WebDriverWait(browser, WAIT_S).until(lambda _: browser.find_element(By.ID, "count").text.startswith(start))


def report(home: Path, run: Run, entries: list[dict[str, Any]]) -> Path:
    """The page of that log."""
    write_log(home / "upload_log.json", entries)
    assert run("report", "-o", str(home / "report.html")).exit_code == 0
    return home / "report.html"


def test_a_person_finds_what_is_open_and_any_attempt(home: Path, run: Run, browser: webdriver.Chrome) -> None:
    """The first table is what is open, with advice; search, filters, tiles and zones narrow the attempts."""
    opened(browser, report(home, run, attempts(1000)))

    first = browser.find_element(By.TAG_NAME, "table")
    assert len(first.find_elements(By.CSS_SELECTOR, "tbody tr")) == 5
    assert ADVICE["storage_quota_exceeded"] in first.text
    counted(browser, "1006 of 1006 attempts match, 100 shown")

    browser.find_element(By.ID, "more").send_keys(Keys.ENTER)
    assert listed(browser) == 200

    browser.find_element(By.ID, "search").send_keys("MEMORY-99 full")
    counted(browser, "0 of 1006")
    browser.find_element(By.ID, "search").clear()
    browser.find_element(By.ID, "search").send_keys("memory-970")
    counted(browser, "1 of 1006")
    assert "is full" in browser.find_element(By.ID, "rows").text

    browser.find_element(By.CSS_SELECTOR, "a[data-filter='status=failed']").click()
    counted(browser, "11 of 1006")
    browser.find_element(By.LINK_TEXT, "Zone 3").click()
    WebDriverWait(browser, WAIT_S).until(lambda _: "Zone 3" in browser.find_element(By.ID, "rows").text)
    rows = browser.find_elements(By.CSS_SELECTOR, "#rows tr th")
    assert rows
    assert all("Zone 3/" in each.text for each in rows)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_sound_in_a_browser(home: Path, run: Run, browser: webdriver.Chrome, width: int, dark: bool) -> None:
    """Nothing lies beside the screen, nothing is fetched, the console is silent, text stands out from its ground."""
    long = {**attempts(1)[0], "path": "Data/" + "x" * 200, "destination": "MemoryVDB/" + "y" * 200}
    page = report(home, run, [*attempts(500), *HOSTILE, long])

    opened(browser, page, width=width, dark=dark)

    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    sent = [json.loads(each["message"])["message"] for each in browser.get_log("performance")]  # type: ignore[no-untyped-call]
    asked = [each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    assert [each for each in asked if not each.startswith("file://")] == []
    assert browser.execute_script(CONTRAST) == []
    targets = browser.execute_script("return [...document.querySelectorAll('.tiles a')].map((a) => a.hash.slice(1))")
    assert all(browser.execute_script("return document.getElementById(arguments[0])", each) for each in targets)


def many_open(count: int) -> list[dict[str, Any]]:
    """That many files that failed, with a reason whose advice names an option, and one attempt that arrived."""
    failed = {"status": "failed", "reason": "source_missing", "retryable": False, "link": None}
    arrived = attempts(2)[1]
    return [{**arrived, **failed, "path": f"Data/Zone/typo number {n}.txt"} for n in range(count)] + [arrived]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280])
def test_many_open_failures_leave_room_for_the_rest(
    home: Path, run: Run, browser: webdriver.Chrome, width: int, dark: bool
) -> None:
    """Twenty are shown, all at a key's press; nothing is beside the screen or hard to read, and no option is broken."""
    opened(browser, report(home, run, many_open(320)), width=width, dark=dark)
    rows = browser.find_elements(
        By.XPATH, "//tr[contains(., 'typo number')][ancestor::table[contains(@class, 'fixed')]]"
    )

    assert len(rows) == 320
    assert sum(each.is_displayed() for each in rows) == 20
    browser.find_element(By.XPATH, "//summary[.='Show all 320']").send_keys(Keys.ENTER)

    assert all(each.is_displayed() for each in rows)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(CONTRAST) == []
    options = "return [...document.querySelectorAll('main .t')].filter((each) => each.textContent == '--forget')"
    assert browser.execute_script(f"{options}.length") >= 320
    assert browser.execute_script(f"{options}.every((each) => each.getClientRects().length == 1)")


CONTRAST = """
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const found = numbers(getComputedStyle(node).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const weak = [];
for (const node of document.querySelectorAll("main *")) {
  if (![...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim())) continue;
  const [a, b] = [light(numbers(getComputedStyle(node).color)), light(ground(node))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) weak.push([node.tagName, node.className, node.textContent.slice(0, 40), ratio]);
}
return weak;
"""
"""Elements with text of a contrast below WCAG's AA, 4.5."""


def test_a_hundred_thousand_attempts_are_searched_without_listing_them(
    home: Path, run: Run, browser: webdriver.Chrome
) -> None:
    """All are found; a hundred rows are made; what is painted first doesn't wait for the rest."""
    page = report(home, run, attempts(100_000))

    opened(browser, page)
    paint, told, size = browser.execute_script(
        "return [performance.getEntriesByName('first-contentful-paint')[0].startTime, "
        "performance.getEntriesByType('navigation')[0].domComplete, document.documentElement.outerHTML.length]"
    )
    print(f"first paint {paint:.0f} ms, all there {told:.0f} ms, {size / 1e6:.1f} MB")
    assert listed(browser) == 100

    browser.find_element(By.ID, "search").send_keys("memory-77777.txt")
    counted(browser, "1 of 100000")
    assert listed(browser) == 1


def test_charts_have_no_gaps_and_fit() -> None:
    """A day without attempts is an empty bar; a young log is shown by the hour; an old one by its last quarter."""
    days = charts.buckets({"2026-11-01T10": Totals(), "2026-11-05T09": Totals()})
    hours = charts.buckets({"2026-11-01T22": Totals(), "2026-11-02T01": Totals()})
    old = charts.buckets({"2020-01-01T00": Totals(), "2026-11-05T09": Totals()})

    assert list(days) == [f"2026-11-0{day}" for day in range(1, 6)]
    assert list(hours) == ["2026-11-01T22", "2026-11-01T23", "2026-11-02T00", "2026-11-02T01"]
    assert len(old) == charts.BARS_MAX
    assert list(old)[-1] == "2026-11-05"


def test_a_zone_has_its_own_picture() -> None:
    """The same days as in every other zone, the failed upon the uploaded, and both in words."""
    days = charts.days({"2026-11-01T22": Totals(), "2026-11-03T01": Totals()})
    totals = Totals(Counter(uploaded=3, failed=1, unchanged=9))

    drawn = charts.strip({"2026-11-03": totals}, days)

    assert days == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert 'aria-label="From 2026-11-01 to 2026-11-03: 3 uploaded, 1 failed"' in drawn
    assert '<path class="uploaded" d="M21 100h8V25h-8z"/><path class="failed" d="M21 25h8V0h-8z"/>' in drawn
    assert len(charts.days({"0001-01-01T00": Totals(), "9999-12-31T23": Totals()})) == charts.BARS_MAX


@pytest.mark.parametrize("hour", ["0001-01-01T00", "9999-12-31T23"])
def test_charts_reach_from_the_first_year_to_the_last(hour: str) -> None:
    """A clock that was wrong is a bar like any other; what is no time is none."""
    found = charts.buckets({hour: Totals(), "2026-11-05T09": Totals(), "2026-13-40T77": Totals()})

    assert len(found) == charts.BARS_MAX
    assert list(found)[-1] == max(hour, "2026-11-05T09")[:10]
    assert list(charts.buckets({hour: Totals()})) == [hour]
