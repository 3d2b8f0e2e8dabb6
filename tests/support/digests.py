"""What identifies a content, for tests that have its bytes."""

import hashlib

from function.core.types import Digests


def digests_of(content: bytes) -> Digests:
    """Its MD5 and SHA-256."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Digests(md5, hashlib.sha256(content).hexdigest())
