"""Bounds of the policy plane: bundles, engines beside the loop, the decision log.

Rule: as in `bus.core.limits`; apart because one page of bounds is enough to read.
"""

from typing import Final

# Bundles. Past any of these a bundle, or a change of its state, is refused.
BUNDLE_BYTES_MAX: Final = 64 << 20  # as it is downloaded or lies on disk, compressed
BUNDLE_CONTENT_BYTES_MAX: Final = 128 << 20  # of all files together
BUNDLE_ENTRIES_MAX: Final = 1_024  # files and folders in the archive
BUNDLE_PADDING_BYTES_MAX: Final = 1 << 20  # zeros after the archive's end
BUNDLE_TAR_EXTRA_BYTES_MAX: Final = 1 << 16  # of one extended header
BUNDLE_PATH_BYTES_MAX: Final = 512
BUNDLE_FOLDERS_DEEP_MAX: Final = 32
BUNDLE_MANIFEST_BYTES_MAX: Final = 1 << 20
BUNDLE_SIGNATURES_BYTES_MAX: Final = 1 << 20
BUNDLE_ROOTS_MAX: Final = 256
BUNDLE_REVISION_CHARS_MAX: Final = 256
BUNDLE_YAML_BYTES_MAX: Final = 256 << 10  # of one file; its parser is a slow one
BUNDLE_KEY_BYTES_MAX: Final = 64 << 10
BUNDLE_RSA_BITS_MIN: Final = 2_048
BUNDLES_MAX: Final = 16  # in force together
BUNDLE_RECORD_BYTES_MAX: Final = 16 << 20  # of who changed the state of which
BUNDLE_REASON_CHARS_MAX: Final = 500

# Downloading bundles.
BUNDLE_DOWNLOAD_S: Final = 60.0  # for the whole answer, then it has failed
BUNDLE_LONG_POLL_S_MAX: Final = 300.0  # that a server may be asked to wait
BUNDLE_POLL_S: Final = 10.0  # between questions to a server that does not wait
BUNDLE_POLL_S_MIN: Final = 0.01
BUNDLE_RETRY_S_BASE: Final = 0.5  # doubled with each failure in a row
BUNDLE_RETRY_S_MAX: Final = 60.0
BUNDLE_ETAG_CHARS_MAX: Final = 1_024

# The isolated policy engine: workers with the policy loaded, one of which answers.
ISOLATED_DEADLINE_S: Final = 0.25  # of one question; then its worker is killed
ISOLATED_DEADLINE_S_MAX: Final = 60.0
ISOLATED_WAIT_S: Final = 5.0  # for a question's turn; then it fails as `deadline`
ISOLATED_WAIT_S_MAX: Final = 300.0
ISOLATED_LOAD_S: Final = 10.0  # to start, load and try out; then the load is refused
ISOLATED_LOAD_S_MAX: Final = 600.0
ISOLATED_MEMORY_BYTES: Final = 1 << 30  # address space of each worker; then it ends
ISOLATED_MEMORY_BYTES_MIN: Final = 128 << 20
ISOLATED_SPARES: Final = 1  # workers that wait for another's end
ISOLATED_SPARES_MAX: Final = 8
ISOLATED_BUNDLE_BYTES_MAX: Final = 192 << 20  # as it is sent to a worker; else refused
ISOLATED_ANSWER_BYTES_MAX: Final = 4 << 20  # past it: `oversize`
ISOLATED_QUESTIONS_MAX: Final = 10_000  # open at once; past it: `unavailable`, likewise
ISOLATED_QUESTIONS_BYTES_MAX: Final = 64 << 20
ISOLATED_AHEAD_MAX: Final = 8  # questions sent before the first of them is answered
ISOLATED_BACKOFF_S_BASE: Final = 0.05  # before a worker is started after one that died
ISOLATED_BACKOFF_S_MAX: Final = 5.0  # at once; doubled each time, up to this
ISOLATED_SETTLED_S: Final = 1.0  # a worker that lived so long did not die at once
ISOLATED_FAILED_STARTS_MAX: Final = 3  # in a row; then questions fail as `unavailable`
ISOLATED_REAP_S_BASE: Final = 0.001  # between looks at whether a killed one is gone
ISOLATED_REAP_S_MAX: Final = 2.0  # doubled up to this, then it is left behind
ISOLATED_CLOSE_S: Final = 5.0  # for all to be gone

# An OPA server, as an engine.
OPA_DEADLINE_S: Final = 1.0  # for one question, all waiting included
OPA_DEADLINE_S_MAX: Final = 60.0
OPA_CONNECTIONS: Final = 32  # kept; past it a question waits for one
OPA_CONNECTIONS_MAX: Final = 1_024
OPA_KEEPALIVE_S: Final = 30.0  # an unused connection is closed
OPA_QUESTIONS_MAX: Final = 10_000  # in flight and waiting; past it: unavailable
OPA_ANSWER_BYTES_MAX: Final = 1 << 20  # past it: oversize
OPA_READ_S: Final = 10.0  # for one document read at the start or on a change
OPA_POLICIES_BYTES_MAX: Final = 64 << 20  # a server sends their syntax trees as well
OPA_BATCH_QUESTIONS_MAX: Final = 256  # in one request; the rest goes in the next
OPA_BATCH_BYTES_MAX: Final = 4 << 20  # of their inputs, and of the answer to them
OPA_FAILURES_MAX: Final = 3  # in a row, then the breaker opens
OPA_RESET_S: Final = 15.0
OPA_RULES_MAX: Final = 1_024  # whose addresses are kept; the oldest is forgotten
OPA_TOKEN_CHARS_MAX: Final = 16_384
OPA_ADDRESS_CHARS_MAX: Final = 2_048
OPA_READY_S: Final = 10.0  # for a server to become healthy
OPA_READY_CHECK_S: Final = 0.1

# The decision log.
DECISION_LOG_BLOCK: Final = 256  # entries handed to the log's thread at a time
DECISION_LOG_BLOCKS_AT_ONCE: Final = 16  # written together while it is behind
DECISION_LOG_PENDING_MAX: Final = 16_384  # entries; past it: deciding waits
DECISION_LOG_WAIT_S: Final = 10.0  # then Failed(decision_log_stalled)
DECISION_LOG_FLUSH_S: Final = 0.05
DECISION_LOG_FSYNC_S: Final = 1.0
DECISION_LOG_OPEN_S: Final = 60.0
DECISION_LOG_RETRY_S: Final = 0.25  # between attempts to write while it fails
DECISION_LOG_CLOSE_S: Final = 10.0  # to write; and as long again to upload
DECISION_BODY_BYTES_KEPT: Final = 4_096  # a larger body is not kept in memory for it
DECISION_ROLES_MEMO_MAX: Final = 16_384  # agents; past it the memo starts anew
DECISION_LABELS_MAX: Final = 64
DECISION_MASKS_MAX: Final = 1_024  # for one event; past it all of it is erased
DECISION_FILE_BYTES: Final = 128 << 20  # then the file is turned over
DECISION_FILES_KEPT: Final = 8  # of those turned over; the oldest is deleted, counted
DECISION_FILES_KEPT_MAX: Final = 1_000
DECISION_SPOOL_BYTES: Final = 1 << 30  # on disk for the collector; past it: no room
DECISION_CHUNK_BYTES: Final = 1 << 20  # of one request, before gzip
DECISION_UPLOAD_S: Final = 1.0  # a chunk that is not full waits for more events
DECISION_UPLOAD_TIMEOUT_S: Final = 30.0  # for one request and its answer
DECISION_BACKOFF_S_BASE: Final = 0.2
DECISION_BACKOFF_S_MAX: Final = 60.0
DECISION_RETRY_AFTER_S_MAX: Final = 300.0  # a collector that asks for more gets this
DECISION_ANSWER_BYTES_MAX: Final = 64 << 10  # the rest of an answer is not read
DECISION_TOKEN_BYTES_MAX: Final = 16_384

# Policy data put in force while the loop goes on: what is done between two turns.
POLICY_SLICE_BYTES: Final = (
    16 << 10
)  # of JSON text; a value that is no object may be more
POLICY_SLICE_VALUES: Final = 2_048  # a larger object is taken member by member
POLICY_SLICE_AGENTS: Final = 256
POLICY_SLICE_ENTRIES: Final = 512  # kept decisions let go of at once
POLICY_SLICE_PAUSE_S: Final = 0.001  # left to the others after each
