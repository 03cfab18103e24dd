"""The bounds of the edge: connections, frames, requests, credentials.

Each name says what is bounded and in which unit, and the comment what happens there.
"""

from typing import Final

# Frames (bus.core.frames).
FRAME_BODY_BYTES_MAX: Final = 3 << 19  # of a converted body; a longer one is octets
FRAME_ITEMS_MAX: Final = 512  # objects in one WebSocket frame; more is refused
FRAME_BYTES_MAX: Final = 2 << 20  # of one WebSocket frame; more closes the connection
FRAME_ACKS_MAX: Final = 4_096  # deliveries acked in one WebSocket frame; more: refused
FRAME_BACKOFF_STEPS_MAX: Final = 100  # likewise, of a subscription's waits
BODY_LEVELS_SPARE: Final = 300  # that a value leaves its reader's stack; else octets
FRAME_WORD_CHARS_MAX: Final = 128  # of a client's name or a session; more is refused
FRAME_TOKEN_CHARS_MAX: Final = 8_192  # of a credential; more is refused

# A connection (bus.edge.session). The settings may lower what a client is told of.
WS_LINE_BYTES_MAX: Final = 4 << 20  # of a WebSocket message; more: closed with 1009
WS_WRITE_BYTES: Final = 64 << 10  # handed to a socket before its buffer is looked at
WS_NOW_BYTES: Final = 48 << 10  # written at once; what is longer waits for its turn
WS_HEARTBEAT_S: Final = 30.0  # between pings of the line; no pong: it is gone
WS_CONNECT_S: Final = 10.0  # for its first frame; then it is closed (4400)
WS_CHECK_S: Final = 1.0  # between looks at who may stay, and at who reads
WS_SLOW_S: Final = 10.0  # that a client may read nothing; then it is closed (4408)
WS_LINGER_S: Final = 5.0  # for publishes under way once a client has gone
WS_CLOSE_S: Final = 3.0  # for what is left to be written, then it is cut off
WS_OUTBOUND_BYTES: Final = 1 << 20  # waiting to be written; past it all waits
WS_BATCH_BYTES: Final = 256 << 10  # about, in one WebSocket frame to a client
WS_FRAME_BYTES: Final = 192  # what a frame counts for beside its body
WS_SUBSCRIPTIONS_MAX: Final = 1_000  # of a connection; more is refused
WS_IN_FLIGHT_MAX: Final = 1_024  # sent and not settled; past it the rest waits
WS_PUBLISHES_MAX: Final = 4_096  # without an outcome yet; more is refused
WS_REQUESTS_MAX: Final = 1_024  # requests and replies likewise
WS_MESSAGES_PER_SECOND: Final = 200_000  # published; more is refused
WS_BURST_S: Final = 1.0  # of that rate at once
WS_PUBLISHES_PER_TURN: Final = 128  # then others have their turn
WS_QUEUED_PUBLISHES: Final = 512  # while they are carried out no more is read
WS_FEEDS_FLUSHED: Final = 2  # subscriptions; of more, a turn's deliveries go together
WS_RENEW_S_MIN: Final = 0.1  # between signs of life of what waits for credit
WS_BACKLOG_MESSAGES: Final = 1_000_000  # of a durable subscription that names none

# The HTTP interface (bus.edge.http.api, bus.edge.messaging).
HTTP_REQUEST_BYTES_MAX: Final = 2 << 20  # a body as sent; longer is refused (413)
JSON_DEPTH_MAX: Final = 64  # levels of a body; deeper is refused (400)
JSON_CONTAINERS_MAX: Final = 65_536  # arrays and objects in a body, likewise
QUERY_BYTES_MAX: Final = 4_096  # longer is refused (414)
HTTP_BODY_S: Final = 30.0  # for a body to arrive whole; then it is refused (400)
WHOLE_NUMBERS_BYTES_MAX: Final = 64 << 10  # of a body looked at once more for 2.0
ACCEPT_BYTES_MAX: Final = 1_024  # of an Accept header; longer is refused (400)
ETAGS_MAX: Final = 64  # that If-None-Match may list; the rest is not looked at
IDEMPOTENCY_KEY_CHARS_MAX: Final = 128  # longer is refused (400)
IDEMPOTENCY_KEYS_MAX: Final = 16_384  # remembered answers; then the oldest goes
IDEMPOTENCY_BYTES_MAX: Final = 32 << 20  # of remembered answers, likewise
IDEMPOTENCY_TENANT_SHARES: Final = 4  # of both, a tenant takes one at most
IDEMPOTENCY_S: Final = 600.0  # that an answer is remembered for
PAGE_ITEMS: Final = 100  # of a list, where the caller does not say
PAGE_ITEMS_MAX: Final = 1_000  # more is refused (400)
CURSOR_CHARS_MAX: Final = 512  # a longer one is not ours (400)

# Hooks of coding agents (bus.edge.hooks).
HOOK_INPUT_BYTES_MAX: Final = 1_048_576  # of one event; more is denied
HOOK_READ_S: Final = 10.0  # for an event to arrive; later is denied
HOOK_RESPONSE_BYTES_MAX: Final = 65_536  # of a tool's answer; more is told by its hash
HOOK_TEXT_CHARS_MAX: Final = 256  # of ids and names that an event carries
HOOK_PROMPT_CHARS_MAX: Final = 2_000  # of the user's request; the rest is left out
HOOK_SESSIONS_MAX: Final = 10_000  # the one longest unused is forgotten
HOOK_SUBAGENTS_MAX: Final = (
    1_000  # of one session, living and asked for; more is denied
)
HOOK_SPAWN_S: Final = 600  # a sub-agent asked for and not begun by then counts no more
HOOK_DEPTH: Final = 2
HOOK_DEPTH_MAX: Final = 16
HOOK_FAN_OUT: Final = 8
HOOK_FAN_OUT_MAX: Final = 256
HOOK_DESKS_MAX: Final = 1_000

# The clients and the command line (bus.remote, bus.config.contexts, bus.cli).
CONTEXTS_MAX: Final = 64  # servers in a person's file; one more is refused
CONTEXTS_BYTES_MAX: Final = 1 << 20  # of that file; a longer one is refused
CLIENT_CONNECT_S: Final = 10.0  # to be let in; then the node counts as unreachable
CLIENT_CLOSE_S: Final = 2.0  # for a node to agree that a line is closed
CLIENT_HEARTBEAT_S: Final = 20.0  # between two pings; without a pong the line is lost
CLIENT_ANSWER_BYTES_MAX: Final = 64 << 20  # of an answer over HTTP; more is refused
CLIENT_LINE_BYTES_MAX: Final = 16 << 10  # of a header's line of an answer
CLIENT_CALLS_MAX: Final = 16_384  # asked and not answered; then callers wait
CLIENT_CALLS_BYTES_MAX: Final = 64 << 20  # of them, likewise
CLIENT_ANSWER_S: Final = 30.0  # for an answer over HTTP, beside what is waited for
CLI_ROWS_MAX: Final = 100_000  # of a list that a command prints
CLIENT_RETRY_MS: Final = 100  # before the first attempt to reach a node again, at most
CLIENT_RETRY_MS_MAX: Final = 10_000  # before any later one
CLIENT_PATIENCE_S: Final = 30.0  # that calls wait for a node that is away
CLIENT_PATIENCE_S_MAX: Final = 3600.0
CLIENT_PREFETCH_MAX: Final = 10_000  # deliveries asked for ahead, of one subscription
CLIENT_GAPS_KEPT_MAX: Final = 1_000  # that are remembered; the rest are counted

# The operator API (bus.edge.operator).
FILTER_CHARS_MAX: Final = (
    600  # of a word that rows are chosen by; a longer one is refused
)

# Node and identity (bus.edge.node, bus.edge.identity).
TOKENS_MAX: Final = 10_000  # kept in a tokens file; past it another one is refused
TOKENS_ENDED_KEPT_S: Final = 30 * 24 * 3600.0  # then an ended token is forgotten
TOKENS_BUSY_S: Final = 5.0  # for another process to let go of the tokens file
TOKENS_WATCH_S: Final = 0.25  # between looks for what another process changed there
TOKEN_ROLES_MAX: Final = 64
TOKEN_S_MIN: Final = 1.0
TOKEN_S_MAX: Final = 10 * 365 * 24 * 3600.0
TOKEN_S_DEFAULT: Final = 90 * 24 * 3600.0
TOKEN_LABEL_CHARS_MAX: Final = 100
CREDENTIAL_CHARS_MAX: Final = 8_192  # longer is no credential
ATTEMPTS_MAX: Final = 20  # wrong credentials of an address in ATTEMPTS_S, then refused
ATTEMPTS_S: Final = 60.0
ATTEMPTS_ADDRESSES_MAX: Final = 10_000  # past it the one unused longest is forgotten
PROOFS_CACHED_MAX: Final = 10_000  # checked JWTs and certificates; the oldest goes
SESSIONS_MAX: Final = 1_000  # of browsers; past it: refused
SESSIONS_OF_CREDENTIAL_MAX: Final = 20  # past it the oldest one ends
SESSION_BODY_BYTES_MAX: Final = 16_384  # of signing in; longer is refused
SESSION_READ_S: Final = 10.0  # for it to arrive
SESSION_S: Final = 12 * 3600.0
SESSION_S_MAX: Final = 30 * 24 * 3600.0
CONNECTIONS_MAX: Final = 10_000  # long-lived ones of a node; past it: refused
CONNECTIONS_OF_AGENT_MAX: Final = 1_000
CONNECTIONS_MAX_ALLOWED: Final = 200_000
SOCKETS_MAX: Final = 20_000  # TCP connections of a node; past it: closed at once
SOCKETS_OF_ADDRESS_MAX: Final = 10_000  # likewise, of one address
HTTP_HEAD_S: Final = 15.0  # for the first request's head to arrive; then it is closed
TLS_HANDSHAKE_S: Final = 10.0  # likewise, for TLS to begin
CONNECTIONS_PER_TURN: Final = 500  # asked about again before the loop turns
NODE_GRACE_S: Final = 5.0  # for a node's own tasks to end
CONNECTIONS_CHECK_S: Final = 1.0  # between looks for credentials that have ended
REASON_CHARS_MAX: Final = 500
ISSUERS_MAX: Final = 16
CERTIFICATES_MAX: Final = 10_000
JWT_S_DEFAULT: Final = 900.0  # from iat to exp; a longer life is refused
JWT_S_MAX: Final = 24 * 3600.0
JWT_LEEWAY_S: Final = 5.0  # that clocks may differ
JWKS_BYTES_MAX: Final = 256 << 10
JWKS_KEYS_MAX: Final = 64
JWKS_FETCH_S: Final = 5.0  # for one fetch
JWKS_KEEP_S: Final = 300.0  # then fetched anew when it is needed
JWKS_AGAIN_S: Final = 30.0  # between two fetches, whatever asks for them
BODY_SHOWN_BYTES_MAX: Final = 16_384  # of a body in a list; a larger one is left out
ROWS_PER_TURN: Final = 500  # of a list that is made; then the loop goes on
TAP_AGENTS_MAX: Final = 300_000  # events of agents counted apart; others in the sums
TAP_TENANTS_MAX: Final = 10_000  # counted by name; the rest is in the counts of all
TAP_RECORDS_MAX: Final = 10_000  # of late; then the oldest goes
LIVE_SEEN_MAX: Final = 20_000  # messages known while somebody looks; the oldest goes
LIVE_BLOCKS_MAX: Final = (
    128  # of records that a tail may be behind; then they are missed
)
LIVE_ROWS_PER_TURN: Final = 256  # that a tail is told at once
LIVE_TAILS_MAX: Final = 64  # at once; one more is refused
NEWS_LISTENERS_MAX: Final = 256  # at once; one more is refused
SERIES_STEP_S: Final = 1
SERIES_POINTS_MAX: Final = 900  # 15 minutes; then the oldest goes
SERIES_TENANTS_MAX: Final = 64  # with points of their own; the one longest unused goes
LOADS_KEPT_S: Final = 1.0  # that the sums of subscriptions by agent are good for
SSE_BEAT_S: Final = 15.0  # between two signs of life where there is nothing to tell
SSE_LOOK_S: Final = 1.0  # between two looks whether a client is still there
SSE_WRITE_S: Final = 30.0  # that a client may take to read; then it is let go
AUDIT_PAGE_BYTES_MAX: Final = 4 << 20  # looked through for one page
AUDIT_WINDOW_BYTES: Final = 64 << 10  # of it, at once
VERIFY_WAIT_S: Final = 1.0  # that who asks for a check waits for its end
VERIFY_REST_S: Final = 0.005  # of its thread between steps: the bus has the processor
REVISIONS_KEPT_MAX: Final = 8  # with their texts; the oldest goes
REVISIONS_BYTES_MAX: Final = 64 << 20  # of those texts, likewise
DIFF_LINES_MAX: Final = 2_000  # of one file; the rest is cut, and told
DIFF_BYTES_MAX: Final = (
    1 << 20
)  # of a text that is compared; a longer one is told as changed
REASONS_SHOWN_MAX: Final = 20  # the most frequent of late
EXPLAIN_S: Final = 10  # that an explanation may take; past it, it is refused
EXPLAINERS_MAX: Final = 2  # processes at once; one longest unused is ended
EXPLAINER_IDLE_S: Final = 120.0  # that one waits for another question; then it is ended
EXPLAINER_LOAD_S: Final = 30  # that one may take to load a policy
EXPLAINER_MEMORY_BYTES: Final = 4 << 30  # of its address space
EXPLAINED_BYTES_MAX: Final = 4 << 20  # of an answer; past it, values are left out
QUESTION_HEADERS_MAX: Final = 64  # of a question to policy; more is refused

# Messages, streams and consumers over HTTP (bus.edge.messaging).
BATCH_ITEMS_MAX: Final = 512  # messages in one request; more is refused
HTTP_WAIT_S_MAX: Final = 60.0  # that one request may wait for something to happen
HTTP_REQUEST_S_MAX: Final = 300.0  # for a reply; longer is refused
FIND_ENTRIES_MAX: Final = 20_000  # looked at for one id; past it, it is not found
TREE_ENTRIES_MAX: Final = 50_000  # looked at for one tree; the rest is left out
TREE_NODES_MAX: Final = 1_000  # of one tree; the rest is left out, and told
STORY_EVENTS_MAX: Final = 1_000  # of one timeline; the rest is left out, and told
STORY_BYTES_MAX: Final = 64 << 20  # of the record looked through; likewise
PENDING_SHOWN_MAX: Final = 100  # deliveries under way that a timeline tells
ENTRIES_PER_TURN: Final = 256  # opened before the loop turns
STREAM_PAGE_BYTES_MAX: Final = 4 << 20  # of bodies in one page; then it is full
STREAM_LOOK_S: Final = 0.02  # between looks for something new, while somebody waits
STREAM_WATCHERS_MAX: Final = 2_000  # waiting readers of a node; more are refused
STREAM_WATCHERS_OF_TENANT_MAX: Final = 500  # likewise
PULLS_MAX: Final = 10_000  # consumers that a node holds for clients; more are refused
PULLS_OF_AGENT_MAX: Final = 100  # likewise
PULL_ITEMS: Final = 10  # deliveries of one pull, where the caller does not say
PULL_ITEMS_MAX: Final = 512  # and that it may ask for
PULL_IN_FLIGHT: Final = 128  # of one consumer, where the caller does not say
PULL_IDLE_S: Final = 60.0  # without a call; then the node lets a consumer go
PULL_BEAT_SHARE: Final = 3  # of ack_wait, between signs of life for what waits here
SETTLE_ITEMS_MAX: Final = 1_024  # of one request; more is refused
RECEIPT_CHARS_MAX: Final = 64  # a longer one is not ours
CLOUDEVENT_ATTRIBUTES_MAX: Final = 32  # of one event; more is refused, as of headers

# The console's files (bus.edge.http.console).
CONSOLE_FILES_MAX: Final = 16  # of a build, beside its page; more is none of ours
CONSOLE_BYTES_MAX: Final = 1 << 20  # of each of them, likewise

# How agents are governed (bus.edge.governing), and tools over MCP (bus.edge.mcp).
PRECEDENTS: Final = 20  # decisions of one page, where the caller does not say
PRECEDENTS_MAX: Final = 100  # and that it may ask for
PRECEDENTS_WAITING_MAX: Final = 64  # who read the record at once; more are refused
COMPLIANCE_NOTE_CHARS_MAX: Final = 1_000  # of reasons on record; the rest is cut
MCP_INBOXES_MAX: Final = 100  # that a server knows; one more is refused
MCP_CALLS_MAX: Final = 128  # of tools at once; one more is refused
MCP_ARGUMENTS_BYTES_MAX: Final = 2 << 20  # of one call; more is refused
MCP_MESSAGES: Final = 10  # of one receive, where the caller does not say
MCP_MESSAGES_MAX: Final = 50  # and that it may ask for
MCP_MESSAGES_BYTES: Final = 256 << 10  # of one receive; past it the rest waits
MCP_EVENTS_MAX: Final = 100  # of a timeline; older ones are left out, and told
MCP_WAIT_S: Final = 20.0  # for a message to come, where the caller does not say
MCP_WAIT_S_MAX: Final = 50.0  # most clients give a call up after 60 s
MCP_LEASE_S: Final = 120.0  # that a message is its receiver's before it is tried again
MCP_LEASE_S_MIN: Final = 10.0
MCP_TEXT_CHARS_MAX: Final = 8_000  # of a governance request; longer is refused
MCP_SOCKETS_MAX: Final = 256  # connections of clients; more wait
MCP_HEAD_BYTES_MAX: Final = 64 << 10  # of a request's head; more is refused
MCP_IDLE_S: Final = 60.0  # between two requests on one connection; then it is closed
MCP_STOP_S: Final = 3.0  # for calls under way once the server stops
MCP_TOKEN_CHARS_MIN: Final = 16  # of the token that callers show; shorter is refused
