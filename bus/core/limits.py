"""Every bound the bus enforces, in one place, unit last.

What happens at a bound is said beside it: refuse, push back, evict or count.
"""

from typing import Final

# The message. Past any of these a publish is refused (`Rejected`).
PAYLOAD_BYTES_MAX: Final = 1 << 20
SUBJECT_BYTES_MAX: Final = 255
SUBJECT_TOKENS_MAX: Final = 16
HEADERS_MAX: Final = 32
HEADER_BYTES_MAX: Final = 4096
NAME_BYTES_MAX: Final = 128
CLAIM_BYTES_MAX: Final = 128  # correlation, causation
LINEAGE_DEPTH_MAX: Final = 64
TTL_S_MAX: Final = 30 * 24 * 3600.0

# Names: tenants as the field knows them, agents and queue groups likewise.
TENANT_CHARS_MIN: Final = 3
TENANT_CHARS_MAX: Final = 64

# Subscriptions. Past these a subscription is refused.
SUBSCRIPTIONS_MAX: Final = 200_000
EARLY_RECORDS_MAX: Final = 10_000  # refusals before the start; past it: refused
AGENTS_MAX: Final = 100_000
BACKLOG_MESSAGES_DEFAULT: Final = 10_000
BACKLOG_MESSAGES_MAX: Final = 1_000_000
IN_FLIGHT_MAX: Final = 1_024
PUBLISHERS_WAITING_MAX: Final = 10_000  # past it: Failed(overloaded)
OVERTAKES_MAX: Final = 256  # higher-priority messages that may pass a waiting one
PUBLISHES_PER_TURN: Final = 256  # of publish_many, likewise
DELIVERIES_PER_TURN: Final = 128  # then the worker lets the loop breathe

# Delivery.
DELIVERIES_MAX: Final = 5
DELIVERIES_MAX_ALLOWED: Final = 100
BACKOFF_MS_BASE: Final = 200
BACKOFF_MS_MAX: Final = 30_000
ACK_WAIT_S: Final = 30.0
ACK_WAIT_S_MIN: Final = 0.001
LEASE_CHECK_S: Final = 0.25
ACK_WAIT_S_MAX: Final = 24 * 3600.0
NAK_DELAY_S_MAX: Final = 24 * 3600.0
DEAD_LETTER_BYTES_MAX: Final = 64 << 20  # of bodies kept, likewise
DEAD_LETTERS_KEPT_MAX: Final = 10_000  # the oldest is evicted and counted
ERROR_CHARS_MAX: Final = 500

# Waiting.
PUBLISH_WAIT_S: Final = 30.0
PUBLISH_WAIT_S_MAX: Final = 3600.0
REQUEST_TIMEOUT_S: Final = 30.0
REQUEST_TIMEOUT_S_MAX: Final = 3600.0
REQUESTS_WAITING_MAX: Final = 100_000  # past it: OverloadedError
DRAIN_S: Final = 30.0
DRAIN_S_MAX: Final = 3600.0
GRACE_S: Final = 5.0  # for handlers that clean up when they are cancelled
IDLE_CHECK_S: Final = 0.002
REPLY_WAIT_S: Final = 5.0
RETRY_AFTER_S: Final = 0.1  # what a publisher is told when a queue is full

# Memos and caches: evicted, oldest first.
DECODERS_MEMO_MAX: Final = 1_024
ROUTES_MEMO_MAX: Final = 16_384
TEMPLATES_MAX: Final = 64  # metric labels; the rest counts as "other"
DECISIONS_CACHED_MAX: Final = 65_536
DECISION_ALLOW_TTL_S: Final = 300.0
DECISION_DENY_TTL_S: Final = 10.0

# Policy.
POLICY_FILE_BYTES_MAX: Final = 1 << 20
POLICY_FILES_MAX: Final = 256
POLICY_DATA_BYTES_MAX: Final = 64 << 20
POLICY_NESTING_MAX: Final = 128
POLICY_INPUT_BYTES_MAX: Final = 512 << 10
POLICY_ANSWER_BYTES_MAX: Final = 1 << 20  # of any engine; past it: oversize
POLICY_REASONS_MAX: Final = 32
POLICY_OBLIGATIONS_MAX: Final = 32
CONSTITUTION_BYTES_MAX: Final = 1 << 20
PRINCIPLES_MAX: Final = 1_000
KEYS_MAX: Final = 64

# Recording.
METER_CELLS_MAX: Final = 100_000  # past it: the record is dropped and counted
METER_QUEUE_MAX: Final = 10_000  # records waiting; past it counts stay in their cells
METER_FLUSH_S: Final = 1.0
AUDIT_BLOCK_RECORDS: Final = 256
AUDIT_PENDING_RECORDS_MAX: Final = 65_536  # past it: publishing waits
AUDIT_WAIT_S: Final = 10.0  # then Failed(audit_stalled)
AUDIT_FLUSH_S: Final = 0.05

# Processing.
REDACT_PATHS_MAX: Final = 256  # past it the configuration is refused, likewise below
REDACT_NODES_MAX: Final = 100_000  # of a body looked at; past it the message fails
RATE_BUCKETS_DEFAULT: Final = 65_536  # a new name with no full bucket to give: refused
RATE_BUCKETS_MIN: Final = 2
RATE_TENANT_SHARES: Final = 16  # a tenant's names take this part of the buckets at most
RATE_BUCKETS_MAX: Final = 1_048_576
RATE_PROBES_MAX: Final = 32  # buckets looked at to make room for a new name
HELD_MAX: Final = 10_000  # past it a message that policy holds fails as overloaded
HELD_BYTES_MAX: Final = 64 << 20  # bodies of all that is held
HELD_TENANT_SHARES: Final = 4  # of what may be held, a tenant takes one at most
HOLD_S: Final = 300.0  # where policy does not say how long; then it is denied
HOLD_S_MAX: Final = 72 * 3600.0
COOLDOWN_S_MAX: Final = 3600.0
COOLDOWNS_MAX: Final = 1_000  # of a tenant; past it another one is refused
COOLDOWNS_OF_AGENT_MAX: Final = 100
LINEAGE_AUTHORS_MAX: Final = 64
RATE_OBLIGATIONS_MAX: Final = 256  # different ones, as policy writes them
RATE_PER_S_MAX: Final = 10_000_000.0
RATE_PER_S_MIN: Final = 1e-5
RATE_BURST_MAX: Final = 10_000_000
NAMES_MEMO_MAX: Final = 1_024  # header names known to be harmless; past it: looked at
ROUNDS_MAX: Final = (
    16_384  # queue groups in a round; the one unused longest starts anew
)

# The audit record, beyond the bounds above.
AUDIT_SEAL_RECORDS_MAX: Final = 8_192  # under one seal, at full speed
AUDIT_SLOT_BYTES: Final = 1 << 20  # a full one is sealed and written
AUDIT_SLOTS_KEPT: Final = 4  # for use in turn; more are made while the writer is behind
AUDIT_FSYNC_S: Final = 1.0
AUDIT_OPEN_S: Final = 600.0  # to check a file whose head is gone
AUDIT_RETRY_S: Final = 0.25  # between attempts to write while it fails
AUDIT_CLOSE_S: Final = 10.0  # then AuditStalledError says what was not written
AUDIT_FIELD_CHARS_MAX: Final = 16_384  # in an oversized record each field is cut to it
AUDIT_LINE_BYTES_MAX: Final = 1 << 20  # a longer line is not one of ours
AUDIT_KEPT_RECORDS: Final = 10_000  # in memory without a file: the oldest are evicted
AUDIT_TAIL_MAX: Final = 10_000  # records `tail` shows at most

# Metering, beyond the bounds above.
METER_BATCH_RECORDS: Final = 100
METER_CELLS_PER_TURN: Final = 500  # looked at before the loop turns
METER_CLOSE_ATTEMPTS: Final = 3  # for each batch, then the rest is dropped
METER_SINK_S: Final = 10.0  # for one write to one sink, then it counts as failed
METER_RETRY_S: Final = 1.0
METER_CLOSE_S: Final = 10.0  # then what is left is dropped and counted

# Metrics and health.
METRIC_SUBJECTS_MAX: Final = 1_000  # templates shown; the rest are summed as `other`
HTTP_BODY_BYTES_MAX: Final = 4_096  # longer is refused (413)
HTTP_LINE_BYTES_MAX: Final = 4_096
HTTP_HEADERS_MAX: Final = 64
HTTP_KEEPALIVE_S: Final = 75.0
HTTP_STOP_S: Final = 5.0

# Documents the operator writes. Past any of these they are refused.
TOML_DOTS_PER_LINE_MAX: Final = 64  # the parser's time grows with their square
PRINCIPLE_CHARS_MAX: Final = 10_000
KEYS_BYTES_MAX: Final = 16_384

# Settings: past these the start stops.
CONFIG_BYTES_MAX: Final = 1 << 20
CONFIG_STAGES_MAX: Final = 64  # and as many strategies, each with as many subjects
SETTING_WAIT_S_MAX: Final = 3600.0
DECISION_TTL_S_MAX: Final = 24 * 3600.0
DECISIONS_CACHED_MAX_ALLOWED: Final = 4_194_304

# Policy sources, checked before the engine parses them; past any of these a load is
# refused. The engine's parser doubles its work with each level of a nested literal.
POLICY_SOURCE_BYTES_MAX: Final = 1 << 20  # all files of a bundle together
POLICY_BRACKETS_MAX: Final = 12  # levels of `[` and `{`
POLICY_PARSE_COST_MAX: Final = 1 << 16  # sum of 2^level over brackets nested deep
POLICY_OPERATORS_MAX: Final = 64  # in one expression
POLICY_FORMAT_DIGITS_MAX: Final = 3  # of a width in `sprintf`, which pads that far
POLICY_RULES_DEEP_MAX: Final = 128  # rules that build on one another in a row
POLICY_AREA_RULES_MAX: Final = 1_000  # names in one list of an area's data
POLICY_SUGGESTIONS_SEARCHED_MAX: Final = 1_000  # names compared for "did you mean"

# Watching the policy files.
POLICY_WATCH_S: Final = 1.0
EVALUATIONS_WAITING_MAX: Final = 10_000  # different questions, to an awaited engine
UNKNOWN_REVISION_TTL_S: Final = 1.0  # of what an engine without a revision answered
READMIT_S: Final = 0.05  # before access is asked about again, overtaken by a reload
POLICY_RETRIES_MAX: Final = 5  # of a question that an engine fails on; then denied
POLICY_RETRY_S: Final = 1.0  # before an engine is asked again about what is queued

# Benchmarks: what `assent bench` accepts.
BENCH_MESSAGES_MAX: Final = 20_000_000  # the schedule takes 4 bytes for each
BENCH_SUBSCRIPTIONS_MAX: Final = 150_000
BENCH_WAIT_S: Final = 60.0  # for the last delivery, then the run has failed

# The survey of `assent demo`.
SURVEY_FILES_MAX: Final = 5_000  # the rest is left out, and said
SURVEY_ENTRIES_MAX: Final = (
    200_000  # looked at in folders; then the walk ends and says so
)
SURVEY_FILE_BYTES_MAX: Final = 8 << 20  # of a larger file only the size is measured
SURVEY_SYNTAX_BYTES_MAX: Final = 1 << 20  # of larger Python no functions are counted
SURVEY_LIST_S: Final = 20.0  # for git to list the files, then the folders are walked
SURVEY_S_MAX: Final = 3600.0
SURVEY_REPORT_S: Final = 300.0  # for a round to be complete, then the survey has failed

# Recordings, as `assent replay` reads them. Past any of these they are refused.
REPLAY_LINE_BYTES_MAX: Final = 4 << 20
REPLAY_BYTES_MAX: Final = 256 << 20  # all files together
REPLAY_ACTIONS_MAX: Final = 200_000
REPLAY_REASONS_MAX: Final = 1_000  # told apart; the rest are counted together

# Policy replay and explain: recorded decisions under another policy.
REDECIDE_LINE_BYTES_MAX: Final = 2 << 20  # a longer line counts as unreadable
REDECIDE_LINES_MAX: Final = 2_000_000  # of all logs together; past it: refused
REDECIDE_WORKERS_MAX: Final = 64
REDECIDE_BATCH_QUESTIONS: Final = 100  # handed to a worker at a time
REDECIDE_BATCHES_WAITING: Final = 4  # for each worker; then reading waits
REDECIDE_QUESTIONS_MAX: Final = 32_768  # different ones kept; then all are forgotten
REDECIDE_GROUPS_MAX: Final = 1_000  # told apart; the rest are counted together
REDECIDE_EXAMPLES_DEFAULT: Final = 3  # of each group
REDECIDE_EXAMPLES_MAX: Final = 1_000
REDECIDE_LISTED_MAX: Final = 100  # unreadable or hidden lines told by their place
REDECIDE_REVISIONS_MAX: Final = 64  # told apart; the rest are counted together
REDECIDE_WORDS_MAX: Final = 64  # values of an input looked for in a reason
EXPLAIN_DECISIONS_MAX: Final = 100  # of one message; past it: refused

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
