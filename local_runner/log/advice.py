"""Reason -> what a person does about it: the one table that `status --open`, the report and `doctor` show."""

from typing import Final

ADVICE: Final[dict[str, str]] = {
    "invalid_payload": "Mend the call: the message names the field.",
    "batch_too_large": "Send fewer files in one call: at most 1000.",
    "path_outside_data_root": "Check the path, which starts at the home: only files below data_root are uploaded.",
    "source_forbidden": "Tokens, settings, log and state are never uploaded: close it with retry --forget.",
    "source_missing": "Put the file back, or close it with retry --forget: a typo, or deleted on purpose.",
    "source_not_a_file": "Name a file; folders are uploaded by drive-upload upload FOLDER.",
    "source_unreadable": "Let the user that uploads read the file and the folders above it, then retry --failed.",
    "destination_exists": "Rename one of the two, or retry with --if-exists keep_both, skip or new_revision.",
    "drive_rejected": "The message says why. Mend the file or its name, then retry --failed.",
    "file_too_large": "Split or compress the file: Drive takes no more than 5 TB.",
    "settings_invalid": "Mend the setting that the message names; drive-upload doctor checks it.",
    "credentials_missing": "Put the token file where the settings say, or run drive-upload authorize.",
    "credentials_invalid": "Run drive-upload authorize, or replace the token file by a good one.",
    "credentials_expired": "Run drive-upload authorize: the access was revoked or has run out.",
    "locked": "Nothing: another upload of this file is at work. If it lasts, run drive-upload doctor.",
    "rate_limited": "Nothing: it goes on when Google lets it. If it lasts a day, that day's limit is used up.",
    "storage_quota_exceeded": "Free space in the Google account, or let drive_root be in a shared drive.",
    "drive_root_not_found": "Check drive_root: the folder must exist outside the bin and be shared with this account.",
    "permission_denied": "Let this account edit the folder on Drive, or authorize with --scope drive.",
    "drive_unavailable": "Nothing: Google has a failure; it is tried again.",
    "network": "Check the network, DNS and proxy of this machine; it is tried again.",
    "deadline_exceeded": "Nothing: the next call goes on where this one stopped. If it repeats, raise deadline_s.",
    "source_changed": "Nothing: the file was written while it was read; it is tried again when it rests.",
    "checksum_mismatch": "Nothing: it is sent again. If it repeats, check this machine's memory and disk.",
    "volume_unavailable": "Is the home's volume mounted, writable and not full? drive-upload doctor looks at it.",
}
"""One sentence or two for every reason of the contract."""


def for_reason(reason: object) -> str:
    """What to do; for a reason that others wrote into the log, what always helps."""
    return ADVICE.get(str(reason), "Read the message; drive-upload doctor checks everything else.")
