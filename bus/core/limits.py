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
ORDERING_KEY_BYTES_MAX: Final = 128
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
PUBLISHES_UNDER_WAY_MAX: Final = 2_048  # of publish_many, on their way to a store
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
BACKOFF_STEPS_MAX: Final = 100  # waits that a subscription may list
MAX_ACK_PENDING: Final = 1_000  # out and not settled; past it nothing new goes out
MAX_ACK_PENDING_ALLOWED: Final = 100_000
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
POLICY_MEMO_ANSWERS_MAX: Final = 256  # texts whose meaning is kept; then forgotten
POLICY_MEMO_ANSWER_CHARS_MAX: Final = 4_096
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

# The simulation.
SIMULATE_SEEDS_MAX: Final = 10_000_000
SIMULATE_PROCESSES_MAX: Final = 256

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
