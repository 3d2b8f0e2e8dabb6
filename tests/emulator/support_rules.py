"""The rules of Drive that the emulator keeps, each with the tests that hold it.

A test is named `file::test`, without the `test_` before either.
"""

from __future__ import annotations

from collections.abc import Mapping

RULES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "Uploads": {
        "simple, type from the header": ("uploads::media_takes_its_type_from_the_header",),
        "multipart with CRLF or bare LF, quoted boundaries": ("uploads::multipart_is_read_liberally",),
        "multipart with base64": ("uploads::multipart_content_may_be_base64",),
        "chunked transfer encoding": ("uploads::a_body_in_chunks_is_understood",),
        "`Expect: 100-continue`": ("uploads::expect_100_continue_is_answered_before_the_body",),
        "session: start with `X-Upload-Content-*`, `Location`": (
            "sessions::start_answers_an_empty_200_with_a_location_on_the_host_that_was_named",
        ),
        "session: the URI is the permission": (
            "sessions::whole_content_in_one_put_needs_no_authorization_and_no_range",
        ),
        "session: 308 with `Range`, `PUT` and `POST`": (
            "sessions::chunks_are_answered_308_without_location_until_the_last",
        ),
        "session: unknown length until the last chunk": ("sessions::unknown_length_is_told_with_the_last_chunk",),
        "session: status query": (
            "sessions::status_of_a_fresh_session_has_no_range",
            "sessions::status_of_a_complete_session_is_the_file",
        ),
        "session: a gap is the permanent 503": ("sessions::a_gap_is_the_503_that_no_repetition_mends",),
        "session: multiples of 256 KiB, sound ranges": ("sessions::chunks_that_contradict_the_rules_are_400",),
        "session: more than announced is 400": ("sessions::more_than_announced_is_400",),
        "session: overlap skipped, or 400 by the weather": (
            "sessions::overlapping_bytes_are_skipped_or_refused_as_the_weather_has_it",
        ),
        "session: kept on a 256 KiB border when the connection breaks": (
            "sessions::what_arrived_before_the_connection_broke_is_kept_on_a_border",
        ),
        "session: a newer connection takes over": ("sessions::a_stalled_connection_is_overtaken_by_a_newer_one",),
        "session: zero bytes": ("sessions::an_empty_put_completes_a_session_of_total_zero",),
        "session: expires, is cancelled, is unknown": ("sessions::unknown_expired_and_cancelled_sessions_are_gone",),
        "session: update by upload": ("sessions::new_content_for_a_file_keeps_the_old_one_as_revision",),
        "session: survives a restart with `--data`": ("restart::everything_is_there_after_a_kill",),
        "bodies in gzip (Java, .NET)": (
            "client_dialects::metadata_in_gzip_is_read",
            "client_dialects::content_in_gzip_is_kept_unpacked",
            "client_dialects::what_is_no_gzip_is_400_and_makes_nothing",
        ),
        "`X-GUploader-No-308` (Go)": ("client_dialects::go_is_answered_200_with_the_status_beside_it",),
        "`X-Goog-Upload-Protocol`, `-Command`, `-Offset` (Ruby)": (
            "client_dialects::a_session_of_commands",
            "client_dialects::commands_are_cancelled_and_refused",
        ),
        "without `uploadType`": ("client_dialects::an_upload_may_go_without_upload_type",),
        "a list of one scalar in multipart metadata": (
            "client_dialects::a_list_of_one_scalar_passes_in_multipart_metadata_only",
        ),
        "v2 and v3, wrong verbs are 404": ("sessions::a_wrong_verb_on_an_upload_path_is_404",),
        "converting text, HTML and Word (.docx) to documents, CSV and tab-separated values to spreadsheets": (
            "editors::text_becomes_a_document_and_comes_back",
            "editors::a_word_document_becomes_a_document_and_comes_back",
            "editors::a_table_becomes_a_spreadsheet_and_comes_back",
        ),
        "converting anything else (binary .doc, OpenDocument, PDF): refused, 501": (
            "editors::what_is_not_emulated_is_refused",
        ),
        "exporting a PDF: refused, 400, since it is layout and glyphs, which nothing here knows": (
            "editors::what_is_not_emulated_is_refused",
        ),
    },
    "Files": {
        "`appDataFolder`: the alias, `spaces`, reserved ids, hidden from `drive` and from other apps": (
            "app_data::what_an_app_hides_is_seen_by_that_app_alone",
            "app_data::ids_are_reserved_for_a_space",
            "app_data::what_cannot_be_done_there_is_refused",
            "app_data::scopes_open_spaces",
        ),
        "comments and replies: author, resolve and reopen, deleted ones without content; mentions are plain text": (
            "comments::a_comment_lives_and_dies",
            "comments::replies_resolve_and_reopen",
            "comments::who_may_comment_edit_and_delete",
            "comments::what_is_wrong_is_refused",
            "comments::the_same_in_v2",
        ),
        "names aren't unique": ("files_v3::two_plain_creates_of_one_name_make_two_files",),
        "default and asked fields": (
            "files_v3::an_answer_has_the_short_set_of_fields_unless_asked",
            "masks::unasked_v3_gives_its_short_set_and_v2_nearly_everything",
        ),
        "field masks with their errors": ("masks::random_masks_are_cut_or_refused",),
        "trash spreads, delete takes descendants": (
            "files_v3::trash_spreads_down_and_only_the_folder_says_explicitly",
            "files_v3::deleting_a_folder_takes_everything_in_it",
        ),
        "one parent; the root takes who has none": (
            "files_v3::a_file_has_one_parent_and_moves_between_folders",
            "public_suites::out_of_its_only_folder_a_file_lies_in_the_root",
        ),
        "shortcuts": ("answers_fit_schemas::every_v3_answer_fits_its_schema",),
        "`root` alias": (
            "public_suites::a_parent_is_deleted_as_a_resource_of_v2",
            "query::a_term_means_what_the_guide_says",
        ),
        "reserved ids, 409 on a second use": (
            "files_v3::a_reserved_id_makes_one_file_however_often_it_is_sent",
            "files_v3::a_used_id_stays_used_in_the_bin_and_after_deletion",
        ),
        "`properties` and `appProperties` with limits": (
            "files_v3::properties_merge_and_null_clears",
            "files_v3::properties_have_limits_in_bytes_and_number",
        ),
        "limits of folders": ("files_v3::folders_have_limits",),
        "paging with opaque tokens": ("files_v3::pages_hold_every_file_once",),
        "`orderBy`": ("files_v3::order_by_several_keys",),
        "`q`, 10,000 random and 10,000 damaged": (
            "query::ten_thousand_random_queries_agree_with_a_plain_filter",
            "query::ten_thousand_damaged_queries_are_refused_or_read",
        ),
        "ETags and `If-Match` in v2, none in v3": ("public_suites::v2_compares_etags_and_v3_takes_no_notice",),
        "gzip": ("files_v3::answers_are_compressed_for_clients_that_take_it",),
        "`Range` on downloads": ("files_v3::downloads_honour_a_range",),
        "batch whose calls alone are authorised": ("client_dialects::only_the_calls_of_a_batch_need_a_token",),
        "batch of up to 100 calls": (
            "batch::a_hundred_calls_are_taken_and_one_more_is_not",
            "batch::each_call_has_its_own_answer_and_price",
        ),
        "long queries by POST": ("files_v3::a_long_query_may_come_as_form",),
        "unknown parameters are disregarded, unknown fields refused; misplaced ones in a body are disregarded": (
            "discovery::wrong_parameters_are_refused",
            "discovery::a_body_that_does_not_fit_is_refused",
            "public_suites::a_parameter_in_the_body_is_disregarded",
        ),
        "`watch` tells receivers on this machine and in its network": (
            "notifications::a_files_receiver_is_told_of_everything",
            "notifications::the_feeds_receiver_is_told_that_something_changed",
        ),
        "answers fit Google's schemas": (
            "answers_fit_schemas::every_v3_answer_fits_its_schema",
            "answers_fit_schemas::every_v2_answer_fits_its_schema",
        ),
        "pages of other origins get nothing; permitted ones may use the API (CORS)": (
            "browser_policy::a_page_of_another_origin_gets_nothing_in_a_real_browser",
            "browser_policy::a_permitted_origin_may_use_the_api_and_nothing_else",
        ),
        "https with an authority of its own; Google's names through it as a proxy": (
            "https::https_and_http_on_one_port",
            "https::googles_names_are_reached_through_it_as_a_proxy",
        ),
        "foreign host names are refused": ("browser_policy::a_name_that_was_bent_here_is_refused",),
    },
    "OAuth and accounts": {
        "refresh tokens, expiry": (
            "oauth::a_refresh_token_gives_an_access_token_for_an_hour",
            "files_v3::a_token_expires",
        ),
        "authorization codes, PKCE": (
            "oauth::a_code_is_good_once_and_for_ten_minutes",
            "oauth::pkce_ties_a_code_to_who_asked_for_it",
        ),
        "consent page, clicked through": (
            "oauth::a_person_can_click_through_the_consent_page",
            "browse::a_person_allows_an_app_by_clicking",
        ),
        "ID tokens, keys, userinfo": (
            "openid::googles_library_verifies_the_id_token",
            "openid::userinfo_and_configuration",
        ),
        "devices without a browser": ("openid::a_device_waits_for_its_person",),
        "revocation, `invalid_grant`": (
            "oauth::revoking_ends_the_grant_and_its_access_tokens",
            "oauth::refusals_are_worded_as_googles",
        ),
        "service accounts: signed assertions, delegation": (
            "oauth::google_auth_can_trade_its_signature_for_a_token",
            "oauth::a_robot_may_act_for_a_person_it_is_delegated_to",
        ),
        "service accounts own no storage": ("files_v3::service_accounts_own_no_storage_but_may_make_folders",),
        "401 and 403 in Google's words": (
            "files_v3::a_missing_or_wrong_token_is_401_at_the_authorization_header",
            "public_suites::a_token_too_small_is_refused_in_the_words_of_the_front_end",
        ),
        "`drive.file` hides what the app didn't make": ("files_v3::scope_drive_file_hides_what_the_app_did_not_make",),
        "API keys read what is public": (
            "public_links::a_key_reads_what_is_public",
            "public_links::a_key_changes_nothing",
        ),
        "public links: `/uc?id=`, `webContentLink`": (
            "public_links::the_link_of_a_public_file_leads_to_its_content",
            "public_links::a_private_file_has_no_public_link",
        ),
        "storage quota per account": ("files_v3::full_storage_refuses_content",),
    },
    "Honest refusals": {
        "`fullText` finds text in contents, and can't be sorted": (
            "honesty::full_text_finds_what_a_text_says",
            "files_v3::what_is_wrong_is_refused_as_google_refuses_it",
        ),
        "inherited permissions are visible": ("honesty::what_a_folder_grants_shows_on_what_lies_in_it",),
        "expiry, role and address of permissions": (
            "honesty::permissions_are_checked",
            "honesty::a_grant_ends_when_it_says",
        ),
        "a service account has no storage": ("honesty::a_service_account_has_no_storage",),
        "the bin is emptied after 30 days, expired sessions leave the disk": (
            "honesty::the_bin_is_emptied_after_thirty_days",
            "honesty::expired_sessions_leave_the_disk",
        ),
        "`driveId` in a create's body is taken": ("honesty::a_create_may_name_its_drive",),
    },
    "Robustness": {
        "one session makes one file, whoever sends at once and wherever it is killed": (
            "one_session_one_file::the_whole_content_sent_twice_makes_one_file",
            "one_session_one_file::last_chunks_in_parallel_make_one_file",
            "one_session_one_file::whatever_of_the_journal_survives_the_session_makes_one_file",
        ),
        "a request that never ended makes nothing": ("one_session_one_file::a_request_that_never_ended_makes_nothing",),
        "out of descriptors, out of disk: it waits, or refuses with 503, and goes on": (
            "robustness::out_of_descriptors_it_waits_and_goes_on",
            "robustness::a_full_disk_refuses_and_loses_nothing",
        ),
        "a line of the journal that can't be read is reported and left out": (
            "robustness::a_bad_line_in_the_middle_of_a_journal_is_stepped_over",
        ),
        "one emulator a data folder": ("robustness::two_emulators_never_share_a_data_folder",),
        "bad calls and values are 400": ("robustness::bad_calls_are_refused_at_the_door",),
    },
    "Faults and weather": {
        "scripted: the nth of a method": (
            "faults::the_third_create_loses_its_answer",
            "faults::times_and_nth_count_from_when_the_fault_was_added",
        ),
        "reset before, in and after a body": (
            "faults::reset_before_does_nothing",
            "faults::a_send_that_resets_in_its_body_keeps_a_border",
        ),
        "any status, reason, body, `Retry-After`": (
            "faults::a_status_is_answered_in_googles_envelope",
            "faults::a_front_end_may_answer_html",
            "robustness::answers_that_no_drive_gives",
        ),
        "slow bodies, delays, truncated answers": (
            "faults::slow_bodies_and_delays_take_their_time",
            "faults::a_truncated_answer_promises_more_than_it_brings",
        ),
        "session loss, a folder trashed in between": ("faults::a_session_is_lost_and_a_folder_is_trashed_in_between",),
        "write rate with bursts, 403 or 429": ("faults::writes_are_taken_in_a_burst_and_then_refused",),
        "units per minute": ("faults::units_a_minute_are_counted_per_user",),
        "listings that lag": ("files_v3::a_lagging_list_misses_what_get_finds",),
        "random errors by the seed": ("faults::the_weathers_errors_follow_the_seed",),
        "admin endpoint": ("faults::the_same_over_http",),
    },
    "Unmodified clients": {
        "rclone's own Go suite, but the import of Word files": ("rclone_suite::rclones_own_suite",),
        "rclone": (
            "rclone::a_tree_of_a_thousand_files_goes_up_in_sync_and_out",
            "rclone::twins_are_seen_and_renamed",
        ),
        "google-api-python-client": (
            "google_client::files_live_and_die",
            "google_client::content_goes_up_in_chunks_and_comes_down_in_chunks",
        ),
        "Go": ("other_languages::go",),
        "Java": ("other_languages::java",),
        "Ruby": ("other_languages::ruby",),
        "Node": ("other_languages::node",),
        "PyDrive2": ("pydrive2::settings_and_credentials_as_people_have_them",),
    },
}
