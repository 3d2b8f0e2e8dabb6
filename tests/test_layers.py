"""Imports point one way, and each third-party package stays behind its wall.

    tests  ─▶  local_runner  ─▶  function              the job, which knows nobody
                    └─────────▶  drive_emulator        Google Drive, an independent witness

    entry points ─▶ serving ─▶ upload ─▶ folders ─▶ credentials ─▶ drive ─▶ home, state, pacing ─▶ telemetry
    ─▶ protocol ─▶ core ─▶ startup

The tables below are the rule; the tests read the imports of every module with `ast`, wherever in the file they stand.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from local_runner.drive_emulator import DriveEmulator

PROJECT = Path(__file__).parents[1]

OURS = ["function", "local_runner", "tests"]

MAY_IMPORT = {
    "local_runner.drive_emulator": ["local_runner.drive_emulator"],
    "local_runner": ["local_runner", "function"],
    "function": ["function"],
}
"""Package of ours -> the packages of ours that its modules may import; the longest matching name counts."""

WALLS = {
    "filelock": ["function.state.lease"],
    "flask": ["function.serving.flask_adapter", "function.main", "local_runner"],
    "functions_framework": ["function.main", "function.serving.server", "local_runner"],
    "googleapiclient": ["function.drive.client", "local_runner.drive_emulator"],
    "httplib2": ["function.credentials.pydrive2_file"],
    "oauth2client": ["function.credentials.pydrive2_file"],
    "pydrive2": ["function.credentials.pydrive2_file"],
    "rich": ["local_runner"],
    "waitress": ["function.serving.server"],
}
"""Third-party package -> the modules and packages that may import it."""

ORDER = [
    ["startup"],
    ["core"],
    ["protocol"],
    ["telemetry"],
    ["home", "state", "pacing"],
    ["drive"],
    ["credentials"],
    ["folders"],
    ["upload"],
    ["serving"],
    ["main", "command_line"],
    ["__main__"],
]
"""The packages of function/, from the inside out: each may import itself and what stands in an earlier row.

The controller, drive_upload, is of the row and the package of `upload`.
"""

EMULATOR_ORDER = [
    ["model"],
    ["schema", "http"],
    ["query", "faults", "oauth", "content"],
    ["storage"],
    ["rules"],
    ["render"],
    ["context"],
    ["methods"],
    ["upload", "admin"],
    ["api"],
    ["server"],
    ["emulator"],
    ["cli", "pytest_plugin"],
    ["__init__", "__main__"],
]
"""The packages and top-level modules of the emulator, from the inside out, by the same rule."""

PURE = [
    "filelock",
    "flask",
    "google",
    "googleapiclient",
    "os",
    "pathlib",
    "requests",
    "socket",
    "subprocess",
    "urllib3",
]
"""What `core` never imports: it meets files, sockets and Google's types only as arguments."""

MODULES_MAX = 12
"""Modules of one folder, about: more of them are two folders."""

LATE = ["flask", "functions_framework", "googleapiclient", "pydrive2", "rich", "urllib3"]
"""What `import function.command_line` must not load: a one-off starts fast, and asks for them when they are needed."""

NEVER_IN_A_ONE_OFF = [
    "cryptography",
    "flask",
    "functions_framework",
    "google_auth_httplib2",
    "oauth2client",
    "pydrive2",
    "pyparsing",
    "rich",
]
"""What a whole `python -m function upload` does without, where the token is not PyDrive2's."""


def name_of(path: Path) -> str:
    """The dotted name of a module's file; a package's is its folder's."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(path: Path) -> frozenset[str]:
    """Absolute names of all modules that a file imports, also inside functions; names in `from m import n` as m.n."""
    package = path.relative_to(PROJECT).parent.parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.update(f"{base}.{alias.name}" for alias in node.names)
    return frozenset(found)


def within(name: str, packages: list[str]) -> bool:
    """Whether a dotted name is one of these or lies below one."""
    return any(name == package or name.startswith(package + ".") for package in packages)


def modules(*folders: str) -> Iterator[Path]:
    """All Python files below these folders of the project."""
    for folder in folders:
        yield from sorted((PROJECT / folder).rglob("*.py"))


def test_our_packages_import_only_what_the_table_allows() -> None:
    """function/ knows nobody, the emulator nobody, the local runner both, and none of them the tests."""
    wrong = []
    for path in modules("function", "local_runner"):
        package = max((name for name in MAY_IMPORT if within(name_of(path), [name])), key=len)
        wrong += [
            f"{name_of(path)} imports {name}"
            for name in imports(path)
            if within(name, OURS) and not within(name, MAY_IMPORT[package])
        ]

    assert wrong == []


@pytest.mark.parametrize("package", WALLS)
def test_a_third_party_package_stays_behind_its_wall(package: str) -> None:
    """Only the modules of the table import this package."""
    wrong = [
        name_of(path)
        for path in modules("function", "local_runner")
        if any(within(name, [package]) for name in imports(path)) and not within(name_of(path), WALLS[package])
    ]

    assert wrong == []


@pytest.mark.parametrize(
    ("root", "order"), [("function", ORDER), ("local_runner.drive_emulator", EMULATOR_ORDER)], ids=["job", "emulator"]
)
def test_imports_point_inwards(root: str, order: list[list[str]]) -> None:
    """A package imports itself and what stands in an earlier row of its table, never sideways or outwards."""
    row = {name: number for number, names in enumerate(order) for name in names}
    wrong = []
    for path in modules(root.replace(".", "/")):
        package = _part(name_of(path), root)
        for name in imports(path):
            other = _part(name, root)
            if other in row and other != package and row[other] >= row.get(package, len(order)):
                wrong.append(f"{name_of(path)} imports {name}")

    assert wrong == []


def _part(name: str, root: str) -> str:
    """The package (or top-level module) below `root` that a dotted name lies in; "" for a name outside."""
    if not within(name, [root]):
        return ""
    part = name.removeprefix(root).lstrip(".").partition(".")[0] or "__init__"
    return "upload" if (root, part) == ("function", "drive_upload") else part


def test_every_package_of_the_emulator_has_its_row() -> None:
    """A new package or top-level module is entered in the table, so that the rule holds for it."""
    folder = PROJECT / "local_runner/drive_emulator"
    found = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}

    assert found == {name for names in EMULATOR_ORDER for name in names}


def test_the_emulator_stands_alone() -> None:
    """Its imports of its own modules are relative, so that its folder can be taken out and used elsewhere."""
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules("local_runner/drive_emulator")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and not node.level and within(node.module or "", OURS))
        or (isinstance(node, ast.Import) and any(within(alias.name, OURS) for alias in node.names))
    ]

    assert wrong == []


def test_the_core_is_pure() -> None:
    """What decides opens no file and no socket, and sees no third party's type."""
    wrong = [
        f"{name_of(path)} imports {name}"
        for path in modules("function/core")
        for name in imports(path)
        if within(name, PURE)
    ]

    assert wrong == []


def test_each_package_says_what_it_is_and_is_small() -> None:
    """A sentence in each package's `__init__`, and about a dozen modules at most."""
    packages = [path for path in modules("function", "local_runner") if path.name == "__init__.py"]

    assert [name_of(path) for path in packages if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []
    assert {
        name_of(path): count
        for path in packages
        if (count := sum(1 for each in path.parent.glob("*.py") if each.name[0] != "_")) > MODULES_MAX
    } == {}


@pytest.mark.parametrize(
    ("folder", "tables"),
    [("function", ["main", "extras"]), ("local_runner", ["main"]), ("tests", ["main", "extras", "dev"])],
)
def test_every_package_imported_is_declared(folder: str, tables: list[str]) -> None:
    """What a part imports stands in pyproject.toml for that part, so that no transitive pin carries it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = {
        "main": project["project"]["dependencies"],
        "extras": [line for extra in project["project"]["optional-dependencies"].values() for line in extra],
        "dev": project["dependency-groups"]["dev"],
    }
    names = {_distribution(line) for table in tables for line in declared[table]}
    homes = packages_distributions()

    missing = {
        f"{name_of(path)} imports {name}"
        for path in modules(folder)
        for name in imports(path)
        if path.stem != "pytest_plugin"  # which pytest alone loads
        and (top := name.partition(".")[0]) in homes
        and not names & {_distribution(home) for home in homes[top]}
    }

    assert missing == set()


def _distribution(requirement: str) -> str:
    """The normalised name at the front of a requirement."""
    match = re.match(r"[\w.-]+", requirement)
    assert match
    return re.sub(r"[-_.]+", "-", match[0]).lower()


def test_the_command_line_starts_without_what_it_may_not_need() -> None:
    """Importing the one-off's module loads no web framework, no PyDrive2 and nothing for terminals."""
    show = f"import sys, function.command_line; print([name for name in {LATE} if name in sys.modules])"

    shown = subprocess.run(
        [sys.executable, "-c", show], cwd=PROJECT, capture_output=True, text=True, check=True, timeout=60
    )

    assert shown.stdout.strip() == "[]"


def test_a_one_off_loads_only_what_it_needs(tmp_path: Path) -> None:
    """A whole upload with an authorized-user token gets by without PyDrive2, Flask and rich."""
    (tmp_path / "Data").mkdir()
    (tmp_path / "Data/note.txt").write_text("x", encoding="utf-8")
    (tmp_path / "paths.json").write_text('{"drive_root": "MemoryVDB"}', encoding="utf-8")
    upload = (
        "import sys, function.command_line; code = function.command_line.main(sys.argv[1:]);"
        f"sys.exit(code or [name for name in {NEVER_IN_A_ONE_OFF} if name in sys.modules] or 0)"
    )
    with DriveEmulator() as drive:
        drive.write_token(tmp_path / "drive_token.json")
        ours = {"DRIVE_UPLOAD_PATHS": str(tmp_path / "paths.json"), "DRIVE_EMULATOR_HOST": drive.url}

        run = subprocess.run(
            [sys.executable, "-c", upload, "upload", "Data/note.txt"],
            cwd=PROJECT, env=os.environ | ours, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    assert run.returncode == 0, run.stderr
