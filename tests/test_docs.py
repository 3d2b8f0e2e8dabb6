"""What the documents say: their commands run, or at least exist; their links lead somewhere; they are complete."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from function.command_line import cli as job
from function.core.errors import HTTP_CODE
from function.core.types import LogEntry
from function.home.settings import load
from local_runner.cli import cli
from local_runner.client.function_process import function_process
from local_runner.drive_emulator import DriveEmulator
from local_runner.log.advice import ADVICE
from tests.support.home import PROJECT

PAGES = sorted(
    [
        *(PROJECT / each for each in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
        *(PROJECT / "docs").glob("**/*.md"),
    ]
)

FENCE = re.compile(r"^(?P<indent> *)(?:\d+\. )?```(?P<info>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)

LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")

SERVED = "127.0.0.1:8080"
"""Where the documents call the function; the test's own listens on a free port."""


@dataclass(frozen=True)
class Block:
    """A fenced block. `words` are those behind the fence: the language, and `run` where a test runs it."""

    page: Path
    words: tuple[str, ...]
    text: str


def name(page: object) -> str:
    """A page in a test's name."""
    return str(page.relative_to(PROJECT)) if isinstance(page, Path) else ""


def blocks(page: Path, language: str) -> list[Block]:
    """The page's blocks of that language, without the indentation of the list that they stand in."""
    found = []
    for each in FENCE.finditer(page.read_text(encoding="utf-8")):
        words = tuple(each["info"].split())
        indent = re.match(r" *(?:\d+\. )?", each[0])
        width = len(indent[0]) if indent else 0
        lines = [line[min(width, len(line) - len(line.lstrip())) :] for line in each["text"].splitlines(keepends=True)]
        if words[:1] == (language,):
            found.append(Block(page, words, "".join(lines)))
    return found


def runnable(page: Path) -> list[Block]:
    """What of a page is run, shell and Python, each language in its order."""
    return [each for language in ("sh", "python") for each in blocks(page, language) if "run" in each.words]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment of a home with the sample files, a Drive, its token, and the command on the path."""
    home, command = tmp_path / "home", tmp_path / "bin" / "drive-upload"
    shutil.copytree(PROJECT / "Data", home / "Data")
    (home / "paths.json").write_text('{"drive_root": "MemoryVDB"}', encoding="utf-8")
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -P -m local_runner "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DRIVE_", "LOG_LEVEL"))}
    with DriveEmulator() as drive:
        drive.write_token(home / "drive_token.json")
        yield kept | {
            "PATH": f"{command.parent}:{kept['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(PROJECT), kept.get("PYTHONPATH")))),
            "DRIVE_EMULATOR_HOST": drive.url,
            "HOME": str(home),
        }


@contextmanager
def served(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    """The text, with a running function's address where it calls one."""
    if SERVED not in text:
        yield text
        return
    home = Path(environment["HOME"])
    with (home / "function.log").open("w") as log:
        settings = {"DRIVE_UPLOAD_PATHS": str(home / "paths.json")}
        with function_process({**environment, **settings}, log=log) as running:
            yield text.replace(f"http://{SERVED}", running.url)


@pytest.mark.parametrize("page", [each for each in PAGES if runnable(each)], ids=name)
def test_the_commands_of_a_page_run(page: Path, place: Mapping[str, str]) -> None:
    """In their order, in a home with an embedded Drive; none fails."""
    for language, command in (("sh", ["bash", "-euo", "pipefail"]), ("python", [sys.executable, "-P", "-"])):
        script = "\n".join(each.text for each in runnable(page) if each.words[0] == language)
        if "curl " in script and shutil.which("curl") is None:
            pytest.skip("no curl here: apt-get install curl")
        with served(script, place) as text:
            ended = subprocess.run(
                command,
                check=False,
                input=text,
                cwd=place["HOME"],
                env=place,
                capture_output=True,
                text=True,
                timeout=110,
            )
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("page", [each for each in PAGES if blocks(each, "sh")], ids=name)
def test_every_shell_block_is_shell(page: Path) -> None:
    """Bash can read what nobody here can run: gcloud, docker, kubectl."""
    for block in blocks(page, "sh"):
        ended = subprocess.run(["bash", "-n"], check=False, input=block.text, capture_output=True, text=True)
        assert ended.returncode == 0, f"{ended.stderr}\n{block.text}"


def our_commands(text: str) -> Iterator[list[str]]:
    """The words of each call of our own command: in prose, at the start of a line, behind docker, cron and others."""
    inline = re.findall(r"`((?:drive-upload|python -m (?:function|local_runner)) [^`]+)`", text)
    names = "|".join(cli.list_commands(click.Context(cli)))
    behind = re.compile(rf"[ /](drive-upload(?: --?[\w-]+(?: /\S+)?)* (?:{names})\b.*)")
    fenced = re.sub(r"\\\n", " ", "\n".join(each["text"] for each in FENCE.finditer(text)))
    lines = [line.strip().removeprefix("$ ") for line in fenced.splitlines()]
    called = [line for line in lines if line.startswith("drive-upload ")]
    called += [found[1] for line in lines if line not in called and (found := behind.search(line))]
    for each in [*inline, *called]:
        try:
            yield shlex.split(each.replace("…", "X"), comments=True)
        except ValueError:
            continue  # a sentence with an apostrophe


def unknown(words: list[str]) -> str | None:
    """What of a call our command line doesn't know: a subcommand, or an option."""
    command: click.Command = job if words[:3] == ["python", "-m", "function"] else cli
    rest = words[3:] if words[0] == "python" else words[1:]
    while rest:
        word, *rest = rest
        if word.startswith("-"):
            option = word.partition("=")[0]
            known = {each: one for one in command.params for each in (*one.opts, *one.secondary_opts)}
            if option in known:
                takes = isinstance(known[option], click.Option) and not getattr(known[option], "is_flag", False)
                rest = rest[1:] if takes and "=" not in word else rest
            elif option not in ("--help", "-h", "--version"):
                return f"{command.name} {option}"
        elif isinstance(command, click.Group) and word.isidentifier() and word.islower():
            found = command.get_command(click.Context(command), word)
            if found is None:
                return word
            command = found
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_our_commands_and_options_exist(page: Path) -> None:
    """Also where a page only mentions them, or where they stand beside commands that can't be run here."""
    text = page.read_text(encoding="utf-8")

    assert [(words, found) for words in our_commands(text) if (found := unknown(words))] == []


@pytest.mark.parametrize("page", [each for each in PAGES if blocks(each, "json")], ids=name)
def test_settings_in_a_page_are_accepted(page: Path, tmp_path: Path) -> None:
    """Every example of paths.json is one; every other example is JSON."""
    for block in blocks(page, "json"):
        document = json.loads(block.text.replace('"results": [ {log entry}, … ]', '"results": []'))
        if "drive_root" in document:
            (tmp_path / "paths.json").write_text(block.text, encoding="utf-8")
            load({"DRIVE_UPLOAD_PATHS": str(tmp_path / "paths.json")})


@pytest.mark.parametrize("page", [each for each in PAGES if blocks(each, "python")], ids=name)
def test_every_python_block_is_python(page: Path) -> None:
    """It can be compiled."""
    for block in blocks(page, "python"):
        ast.parse(block.text)


def headings(page: Path) -> list[str]:
    """The page's headings, of every level, in their order."""
    return re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The page's headings, as GitHub addresses them."""
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings(page)}


@pytest.mark.parametrize("page", [each for each in PAGES if each.name != "CHANGELOG.md"], ids=name)
def test_no_heading_occurs_twice(page: Path) -> None:
    """A section is there once. A changelog has the same headings below each version."""
    assert [each for each, count in Counter(headings(page)).items() if count > 1] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link within the project, with its anchor."""
    broken = []
    for found in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
        path, _, anchor = found["target"].partition("#")
        if "://" in path:
            continue
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(found["target"])
    assert broken == []


def test_the_index_has_every_page() -> None:
    """Each page below docs/ is one step from its index."""
    for folder in ("docs", "docs/decisions"):
        index = PROJECT / folder / "README.md"
        linked = {each["target"].partition("#")[0] for each in LINK.finditer(index.read_text(encoding="utf-8"))}
        assert {each.name for each in index.parent.glob("*.md")} - {"README.md"} <= linked


def test_architecture_has_every_part_of_the_job() -> None:
    """Each package and module of function/ has its row in the table of the layers."""
    text = (PROJECT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folder = PROJECT / "function"

    rows = {one for cell in re.findall(r"^\| (`[^|]+) \|", text, re.MULTILINE) for one in re.findall(r"`(\S+)`", cell)}

    packages = {f"{each.parent.name}/" for each in folder.glob("*/__init__.py")}
    assert rows == packages | {each.name for each in folder.glob("*.py")} - {"__init__.py"}


def test_troubleshooting_has_every_reason() -> None:
    """Each reason of the contract, in its order, with its code and the advice that the commands give."""
    text = (PROJECT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `(\w+)`\n(.*?)(?=^##)", text, re.MULTILINE | re.DOTALL))

    assert list(sections) == list(HTTP_CODE)
    for reason, section in sections.items():
        assert f"*HTTP {HTTP_CODE[reason]}.*" in section
        assert f"**What to do:** {ADVICE[reason]}" in section


def test_log_and_state_has_every_field() -> None:
    """Each field of an entry has its row."""
    text = (PROJECT / "docs" / "log-and-state.md").read_text(encoding="utf-8")

    rows = [cell for line in re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE) for cell in re.findall(r"`(\w+)`", line)]

    assert set(LogEntry.__struct_fields__) <= set(rows)


def test_state_files_has_every_file_that_an_upload_leaves(place: Mapping[str, str]) -> None:
    """What lies in a home after an upload is in the table."""
    text = (PROJECT / "docs" / "state-files.md").read_text(encoding="utf-8")
    home = Path(place["HOME"])
    subprocess.run(["drive-upload", "upload", "Data"], cwd=home, env=place, check=True, capture_output=True)

    top = {each.name for each in home.iterdir()} - {"Data"}
    (endpoint,) = (each for each in (home / ".drive_upload").iterdir() if each.name != "locks")
    assert all(f"`{each}`" in text or f"`{each}/`" in text for each in top)
    assert all(f"| `.drive_upload/<endpoint>/{each.name}/" in text for each in endpoint.iterdir())
