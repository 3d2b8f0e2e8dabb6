"""PyDrive2's own tests against the emulator, where a checkout is at hand: its package on PyPI has none.

    git clone the project iterative/PyDrive2 into a folder, and into that folder's `extra` what its tests need:
    pip install --target FOLDER/extra "funcy<2" fsspec tqdm appdirs pytest-mock timeout-decorator
    PYDRIVE2_SOURCE=FOLDER python -m pytest tests/emulator/test_pydrive2_suite.py

Two things differ from its runs at Google: its service account acts for a person, since service accounts own no storage;
and pyOpenSSL's `crypto.sign`, which oauth2client calls and pyOpenSSL no longer has, is put back.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_runner.drive_emulator import DriveEmulator, ServerOptions

SIGN = """
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from OpenSSL import crypto

crypto.sign = lambda key, data, digest: key.to_cryptography_key().sign(data, padding.PKCS1v15(), hashes.SHA256())
"""


@pytest.mark.timeout(900)
def test_pydrive2s_own_suite(tmp_path: Path) -> None:
    """All 75 of its automatic tests pass."""
    source = os.environ.get("PYDRIVE2_SOURCE")
    if not source or not (Path(source) / "pydrive2/test").is_dir():
        pytest.skip("PYDRIVE2_SOURCE names no checkout of PyDrive2, whose tests aren't in its package")
    shutil.copytree(Path(source) / "pydrive2", tmp_path / "pydrive2", ignore=shutil.ignore_patterns("*.dat", "local"))
    settings = tmp_path / "pydrive2/test/settings"
    for file in settings.glob("*.yaml"):
        as_person = re.sub(
            r"(?m)^(  client_json_file_path:.*)$", r"\1\n  client_user_email: user@example.com", file.read_text()
        )
        file.write_text(as_person.replace("/tmp/pydrive2/", f"{tmp_path}/"))
    helper = tmp_path / "pydrive2/test/test_util.py"
    helper.write_text(helper.read_text().replace("/tmp/pydrive2/", f"{tmp_path}/"))
    (tmp_path / "shim").mkdir()
    (tmp_path / "shim/sitecustomize.py").write_text(SIGN)
    with DriveEmulator(options=ServerOptions(https=True)) as drive:
        (tmp_path / "ca.pem").write_bytes(drive.ca_pem)
        proxy, ca = f"http://127.0.0.1:{drive.port}", str(tmp_path / "ca.pem")
        told = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not manual", "pydrive2/test"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": f"{tmp_path / 'shim'}:{Path(source) / 'extra'}",
                "GDRIVE_USER_CREDENTIALS_DATA": json.dumps(drive.service_account()),
                **dict.fromkeys(("HTTPS_PROXY", "https_proxy"), proxy),
                **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
                **dict.fromkeys(("HTTPLIB2_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), ca),
            },
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )

    assert re.search(r"^75 passed", told.stdout, re.MULTILINE), told.stdout[-4000:] + told.stderr[-1000:]
