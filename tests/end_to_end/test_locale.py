"""A locale that isn't UTF-8: the same file keeps the same name on Drive."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.home import PROJECT, Home

OTHER_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


@pytest.mark.parametrize("module", ["function", "local_runner"])
def test_names_are_utf8_in_any_locale(home: Home, module: str) -> None:
    """What was uploaded in one locale is unchanged in another, also where its name is no text at all."""
    names = ["Über/größe.txt", os.fsdecode(b"latin-\xe9.txt")]
    paths = [home.put(f"Data/{name}", name.encode("utf-8", "surrogateescape")) for name in names]

    for path in paths:
        first = home.one_off(path)
        second = subprocess.run(
            [sys.executable, "-m", module, "upload", *(["--json"] if module == "local_runner" else []), path],
            cwd=PROJECT,
            env=os.environ | home.environ | OTHER_LOCALE,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

        assert json.loads(first.stdout)["status"] == "uploaded", first.stderr
        assert '"unchanged"' in second.stdout, second.stderr
    assert sorted(home.stored()) == ["MemoryVDB/latin-%E9.txt", "MemoryVDB/Über/größe.txt"]


def test_where_python_was_started_by_others(home: Home) -> None:
    """Somebody's program in another locale: refused in a sentence that says what to set."""
    code = "from function.serving.app import current; from function.core.errors import SettingsError\n"
    code += "try: current()\nexcept SettingsError as error: print(error.message)"

    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=os.environ | home.environ | OTHER_LOCALE,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert "PYTHONUTF8=1" in run.stdout, run.stderr
