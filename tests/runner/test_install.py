"""The package: built, installed into an environment of its own, and used from a folder that has traps in it."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

import function
from function.credentials import renewal
from local_runner.cli import COMMANDS, cli
from local_runner.drive_emulator import DriveEmulator
from tests.support.home import PROJECT

pytestmark = pytest.mark.xdist_group("install")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as `pip install .` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = f"import hatchling.build; print(hatchling.build.build_wheel({str(folder)!r}))"
    subprocess.run([sys.executable, "-c", build], cwd=PROJECT, check=True, capture_output=True, timeout=100)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `drive-upload` of an environment that has the package, and its dependencies from this one."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=100)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin/python",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "install", "-qq", "--no-deps", "--no-index", wheel], check=True, timeout=100)
    return folder / "bin/drive-upload"


@pytest.fixture
def trapped(tmp_path: Path) -> Path:
    """A home whose owner keeps a script called click.py in it, beside an embedded Drive's token."""
    (tmp_path / "Data").mkdir()
    (tmp_path / "Data/note.txt").write_text("remember me", encoding="utf-8")
    (tmp_path / "paths.json").write_text('{"drive_root": "MemoryVDB"}', encoding="utf-8")
    for name in ("click.py", "function.py", "json.py", "flask.py"):
        (tmp_path / name).write_text("raise SystemExit('a script of the home was imported')", encoding="utf-8")
    return tmp_path


@pytest.fixture
def drive(trapped: Path) -> Iterator[DriveEmulator]:
    """An embedded Drive for that home."""
    with DriveEmulator() as emulator:
        emulator.write_token(trapped / "drive_token.json")
        yield emulator


def run(command: list[str | Path], home: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """A finished command, started in that home with a poor environment."""
    poor = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        command, cwd=home, env=poor | environ, capture_output=True, text=True, check=False, timeout=100
    )


def test_the_command_has_every_subcommand_and_a_version(installed: Path, tmp_path: Path) -> None:
    """`drive-upload --version` and `--help` work in an empty environment, and name all there is."""
    version = run([installed, "--version"], tmp_path)
    shown = run([installed, "--help"], tmp_path)

    assert version.stdout.split()[-1] == function.__version__
    assert [name for name in COMMANDS if f"\n  {name} " not in shown.stdout] == []


def test_it_uploads_from_a_folder_with_scripts_of_its_own(installed: Path, trapped: Path, drive: DriveEmulator) -> None:
    """A `click.py` in the home is never imported, neither by the command nor by the function it starts."""
    host = {"DRIVE_EMULATOR_HOST": drive.url}

    uploaded = run([installed, "upload", "Data"], trapped, **host)
    demo = run([installed, "demo", "--home", trapped / "demo"], trapped)

    assert (uploaded.returncode, "1 uploaded" in uploaded.stdout) == (0, True), uploaded.stderr
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "every file is there once" in demo.stdout


@pytest.mark.parametrize("package", ["function", "local_runner"])
def test_python_m_imports_nothing_from_the_working_folder(
    installed: Path, trapped: Path, drive: DriveEmulator, package: str
) -> None:
    """Also `python -m`, which puts the working folder first on the path, leaves it alone."""
    (trapped / "function.py").unlink()  # the name of the package itself can only be looked up there

    ran = run(
        [installed.with_name("python"), "-m", package, "upload", "Data/note.txt"],
        trapped,
        DRIVE_EMULATOR_HOST=drive.url,
    )

    assert ran.returncode == 0, ran.stderr
    assert "uploaded" in ran.stdout


def test_the_home_is_chosen_before_the_subcommand(
    installed: Path, trapped: Path, drive: DriveEmulator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`--home DIR` works from anywhere."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    ran = run([installed, "--home", trapped, "upload", "Data"], elsewhere, DRIVE_EMULATOR_HOST=drive.url)

    assert (ran.returncode, "1 uploaded" in ran.stdout) == (0, True), ran.stderr
    assert (trapped / "upload_log.json").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(installed: Path, tmp_path: Path, shell: str) -> None:
    """The script for a shell, and what it then asks for, come from the command itself."""
    script = run([installed], tmp_path, _DRIVE_UPLOAD_COMPLETE=f"{shell}_source")
    word = "st" if shell == "fish" else "1"  # the word itself, or its number
    asked = {"_DRIVE_UPLOAD_COMPLETE": f"{shell}_complete", "COMP_WORDS": "drive-upload st", "COMP_CWORD": word}
    offered = run([installed], tmp_path, **asked)

    assert "drive-upload" in script.stdout
    assert "status" in offered.stdout


def test_the_wheel_holds_what_is_no_code(wheel: Path) -> None:
    """The log's schema, the emulator's own documents and the demo's files travel along; tests and settings don't."""
    names = zipfile.ZipFile(wheel).namelist()

    assert {
        "function/upload_log.schema.json",
        "local_runner/drive_emulator/README.md",
        "local_runner/drive_emulator/SUPPORT.md",
        "local_runner/sample_data/Meta/AI_Architecture.txt",
    } <= set(names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"function", "local_runner", "drive_upload"}


def test_a_pydrive2_token_without_the_extra_is_one_sentence(
    trapped: Path, drive: DriveEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PyDrive2 isn't installed, its token file names the extra and the other way out, and is for later."""
    token = drive.authorized_user()
    saved = {
        "_class": "OAuth2Credentials", "_module": "oauth2client.client", "access_token": token["token"],
        "refresh_token": token["refresh_token"], "client_id": token["client_id"], "client_secret": "x",
        "token_uri": token["token_uri"], "token_expiry": "2020-01-01T00:00:00Z", "invalid": False, "scopes": [],
    }  # fmt: skip
    (trapped / "drive_token.json").write_text(json.dumps(saved), encoding="utf-8")
    monkeypatch.setenv("DRIVE_UPLOAD_HOME", "")  # so that what --home sets is undone
    monkeypatch.setenv("DRIVE_UPLOAD_PATHS", "")
    monkeypatch.setattr(renewal, "find_spec", lambda name: None)
    monkeypatch.setenv("DRIVE_EMULATOR_HOST", drive.url)

    result = CliRunner().invoke(cli, ["--home", str(trapped), "upload", "Data"])

    assert result.exit_code == 75
    assert "install 'drive-upload[pydrive2]'" in result.stdout


def test_a_plain_resolver_can_install_it() -> None:
    """What PyDrive2 allows and what the package asks for have versions in common, for pip knows no overrides."""
    declared = {
        each.name.lower(): each
        for each in map(Requirement, distribution_requires())
        if each.name.lower() in ("cryptography", "pyopenssl")
    }
    capped = {each.name.lower(): each for each in map(Requirement, distribution("PyDrive2").requires or [])}
    floor = next(iter(declared["cryptography"].specifier)).version

    assert capped["cryptography"].specifier.contains(floor)
    assert "pyopenssl" not in declared


def distribution_requires() -> list[str]:
    """The package's plain requirements, extras left out."""
    import tomllib

    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("extra", ["", "[pydrive2]"])
def test_pip_installs_it_into_an_empty_environment(tmp_path: Path, extra: str) -> None:
    """For real, with a registry: everything is resolved, and the command starts."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "v"], check=True, timeout=100)
    pip: list[str | Path] = [tmp_path / "v/bin/python", "-m", "pip", "--disable-pip-version-check"]

    subprocess.run([*pip, "install", "-q", f"{PROJECT}{extra}"], check=True, timeout=500)

    subprocess.run([*pip, "check"], check=True, timeout=100)
    assert run([tmp_path / "v/bin/drive-upload", "--version"], tmp_path).returncode == 0
