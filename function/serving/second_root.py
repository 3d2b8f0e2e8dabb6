"""A warning before a token that can't see others' files makes a drive_root that may exist."""

import logging

from function.core.errors import UploadError
from function.core.retry import Deadline
from function.core.types import Usage
from function.upload.account import AccountSession

_log = logging.getLogger(__name__)


def warn(account: AccountSession, deadline: Deadline) -> None:
    """Warn while the account's root is one that this state has never seen, and its token's scope would hide it.

    No request is sent for it, unless the token is a new one: then Drive is asked whose it is, as the upload would.
    """
    root = account.account.root
    try:
        if not account.tokens.sees_only_own_files():
            return
        is_known = account.open(Usage(), deadline).folders.known("/".join(root.folders)) is not None
    except UploadError:
        return  # the upload meets it too, and tells it
    if not is_known:
        _log.warning(
            "%s: the token's scope (drive.file) shows only what this app made. If another program or a person has made "
            "%s on Drive, a second one is made beside it: to use that one, run 'drive-upload authorize --scope drive' "
            "before the upload.",
            account.name,
            root.label,
        )
