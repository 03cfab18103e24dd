// Made by `python -m tests.console.typescript` from the operations of the node.
// Not written by hand: a test compares.

export interface AgentRow {
  name: string;
  tenant: string;
  roles: string[];
  health: "disabled" | "idle" | "ok" | "quarantined" | "slow";
  connections: number;
  subscriptions: number;
  published: number;
  denied: number;
  delivered: number;
  queued: number;
  in_flight: number;
  spend: Spend;
  quarantine: QuarantineRow | null;
}

export interface Agents {
  next: string | null;
  items: AgentRow[];
  total: number;
}

export interface AgentsAsked {
  after?: string;
  limit?: number;
  q?: string;
  tenant?: string;
  health?: "disabled" | "idle" | "ok" | "quarantined" | "slow" | null;
}

export interface ApprovalAsked {
  id: string;
}

export interface ApprovalRow {
  id: string;
  subject: string;
  type: string;
  priority: number;
  sender: string;
  tenant: string;
  authors: string[];
  reason: string;
  since: string;
  until: string;
  revision: string;
  headers: Record<string, string>;
  content: Body;
}

export interface Approvals {
  next: string | null;
  items: ApprovalRow[];
  total: number;
}

export interface AuditAsked {
  after?: string;
  limit?: number;
  oldest?: boolean;
  event?: string;
  agent?: string;
  subject?: string;
  id?: string;
  tenant?: string;
}

export interface AuditPage {
  next: string | null;
  items: AuditRow[];
  durable: boolean;
}

export interface AuditRow {
  seq: number;
  event: string;
  time: string;
  id: string;
  tenant: string;
  agent: string;
  subject: string;
  revision: string;
  detail: string;
}

export interface Body {
  content_type: string;
  size: number;
  body?: unknown;
  body_base64?: string;
  left_out: "" | "hidden" | "large";
}

export interface CacheRow {
  hits: number;
  misses: number;
  size: number;
}

export interface CheckRow {
  name: string;
  ok: boolean;
  text: string;
}

export interface ComponentRow {
  component: string;
  kind: string;
  priority: number;
  state: string;
  breaker: "closed" | "half_open" | "open";
  attempt: number;
  attempts: number;
  wait_ms: number | null;
  error: string;
  actions: ("approve" | "cancel")[];
}

export interface Confirmed {
  name: string;
  reason: string;
  confirm: string;
}

export interface ConsumerRow {
  tenant: string;
  name: string;
  agent: string;
  pattern: string;
  queue: string;
  durable: boolean;
  members: number;
  pending: number;
  in_flight: number;
  delayed: number;
  redelivered: number | null;
  dead: number | null;
  oldest_seconds: number | null;
}

export interface Consumers {
  next: string | null;
  items: ConsumerRow[];
}

export interface Counts {
  accepted: number;
  delivered: number;
  denied: number;
  rejected: number;
  failed: number;
  dropped: number;
  held: number;
  dead: number;
}

export interface Decided {
  action: string;
  allow: boolean;
  revision: string;
  digest: string;
  cached: boolean;
  reasons: string[];
  decision_id: string;
}

export interface DecisionRow {
  time: string;
  agent: string;
  tenant: string;
  subject: string;
  outcome: string;
  allow: boolean;
  reasons: string[];
  revision: string;
  message_id: string;
  action: string | null;
  type: string | null;
}

export interface Decisions {
  next: string | null;
  items: DecisionRow[];
  reasons: ReasonRow[];
}

export interface DecisionsAsked {
  after?: string;
  limit?: number;
  allow?: boolean | null;
  agent?: string;
  reason?: string;
  tenant?: string;
}

export interface Detail {
  content_type: string;
  body?: unknown;
  body_base64?: string;
  id: string;
  subject: string;
  type: string;
  priority: number;
  sender: string;
  tenant: string;
  created: string;
  size: number;
  headers: Record<string, string>;
  depth: number;
  authors: string[];
  revision: string;
  expires?: string;
  reply_to?: string;
  correlation?: string;
  causation?: string;
  root?: string;
  parent?: string;
  decision: Decided;
  status: "held" | "kept";
  stream?: string;
  sequence?: number;
  consumers: string[];
}

export interface Diff {
  from: string;
  to: string;
  files: FileDiff[];
  data_compared: boolean;
}

export interface DiffAsked {
  from: string;
  to: string;
}

export interface Event {
  event: string;
  time: string;
  agent: string;
  detail: string;
  revision: string;
}

export interface Explained {
  allow: boolean;
  reasons: string[];
  obligations: Record<string, unknown>[];
  revision: string;
  rules: FindingRow[];
  input: InputRow[];
  document: Record<string, unknown>;
  decided_under: string | null;
  outcome: string | null;
  same: boolean | null;
  note: string;
}

export interface FileDiff {
  name: string;
  change: "added" | "changed" | "removed";
  lines: string[];
  cut: boolean;
}

export interface FindingRow {
  rule: string;
  file: string;
  line: number;
  kind: string;
  state: "called" | "failed" | "held" | "not held" | "not reached";
  decided: boolean;
  value: unknown;
  reasons: string[];
  error: string;
}

export interface HealthPoint {
  time: string;
  score: number;
  standing: "critical" | "degraded" | "healthy";
}

export interface HistoryAsked {
  after?: string;
  limit?: number;
  component?: string;
}

export interface InputRow {
  name: string;
  there: boolean;
  value?: unknown;
}

export interface LetterAsked {
  id: string;
}

export interface LetterRow {
  id: string;
  time: string;
  tenant: string;
  consumer: string;
  attempts: number;
  reason: string;
  resendable: boolean;
  message_id: string | null;
  subject: string | null;
  type: string | null;
  sender: string | null;
  priority: number | null;
  headers: Record<string, string> | null;
  content: Body | null;
}

export interface Letters {
  next: string | null;
  items: LetterRow[];
  total: number | null;
}

export interface LettersAsked {
  after?: string;
  limit?: number;
  consumer?: string;
  tenant?: string;
}

export interface LiveRow {
  id: string;
  time: string;
  subject: string;
  tenant: string;
  outcome: string;
  agent: string;
  reason: string;
  sender: string | null;
  type: string | null;
  size: number | null;
  priority: number | null;
}

export interface Missed {
  count: number;
}

export interface ModuleRow {
  name: string;
  text: string;
}

export interface News {
  what: "agents" | "approvals" | "audit" | "consumers" | "letters" | "policy" | "recovery";
}

export interface Node {
  id: string;
  subject: string;
  type: string;
  sender: string;
  time: string;
  outcome: string;
  children: Node[];
}

export interface Nothing {
}

export interface OfAgent {
  name: string;
}

export interface OfComponent {
  component: string;
}

export interface OfMessage {
  id: string;
}

export interface Overview {
  time: string;
  tenant: string | null;
  version: string;
  revision: string;
  constitution: string;
  standing: "critical" | "degraded" | "healthy";
  score: number;
  phase: string;
  checks: CheckRow[];
  counts: Counts;
  queued: number;
  in_flight: number;
  held: number;
  dead_letters: number;
  agents: number;
  quarantined: number;
  connections: number;
  durable: boolean;
  uptime_seconds: number;
  cache: CacheRow;
}

export interface Paged {
  after?: string;
  limit?: number;
}

export interface Pending {
  consumer: string;
  agent: string;
  state: "in_flight" | "waiting";
  attempt: number;
}

export interface Point {
  time: string;
  accepted: number;
  delivered: number;
  denied: number;
  failed: number;
  queued: number;
  in_flight: number;
  p50_us: number | null;
  p99_us: number | null;
}

export interface PolicyDataRow {
  revision: string;
  name: string;
  data: Record<string, unknown>;
}

export interface PolicyRow {
  revision: string;
  declared: string;
  engine: "embedded" | "isolated" | "opa";
  built_in: boolean;
  loaded: string;
  data_agents: number | null;
  rules: RuleRow[];
  modules: ModuleRow[];
  etag: string;
  writable: boolean;
  why_not: string;
}

export interface PutAnswer {
  revision: string;
  before: string;
  etag: string;
}

export interface PutModule {
  name: string;
  text: string;
}

export interface PutPolicy {
  if_match?: string | null;
  data?: Record<string, unknown>;
  modules?: PutModule[];
  reason?: string;
}

export interface QuarantineRow {
  by: string;
  reason: string;
  since: string;
}

export interface Question {
  agent: string;
  action?: "connect" | "cooldown" | "publish" | "release" | "reply" | "request" | "subscribe";
  subject?: string;
  type?: string;
  priority?: number;
  size?: number;
  content_type?: string;
  headers?: Record<string, string>;
  reply_to?: string | null;
  correlation?: string | null;
  depth?: number;
  authors?: string[];
  author?: string;
  queue?: string;
  revision?: string;
}

export interface ReasonRow {
  reason: string;
  count: number;
}

export interface Reasoned {
  name: string;
  reason: string;
}

export interface RecoveryRow {
  score: number;
  standing: "critical" | "degraded" | "healthy";
  components: ComponentRow[];
  health: HealthPoint[];
}

export interface Resend {
  id: string;
  body?: unknown;
  body_base64?: string;
}

export interface RevisionRow {
  revision: string;
  declared: string;
  since: string;
  current: boolean;
  modules: number;
  by: string;
}

export interface Revisions {
  next: string | null;
  items: RevisionRow[];
}

export interface Rewind {
  name: string;
  tenant?: string;
}

export interface RewoundRow {
  tenant: string;
  consumer: string;
  deliveries: number;
  in_hand: number;
}

export interface RuleRow {
  rule: string;
  file: string;
  line: number;
  kind: string;
}

export interface Series {
  step_seconds: number;
  tenant: string | null;
  points: Point[];
}

export interface SessionAnswer {
  agent: string;
  tenant: string;
  roles: string[];
  scope: string;
  csrf: string;
  expires: string;
}

export interface Settle {
  id: string;
  reason: string;
}

export interface Settled {
  status: "accepted" | "denied" | "held";
  message_id: string;
  revision: string;
  deliveries: number | null;
  duplicate: boolean;
  decision_id: string;
  reasons: string[];
  until: string | null;
}

export interface SignIn {
  token: string;
}

export interface Spend {
  events: number;
  body_bytes: number;
}

export interface StreamLimits {
  max_messages: number;
  max_bytes: number;
  max_age_seconds: number | null;
  discard: "old" | "refuse" | "settled";
}

export interface StreamLine {
  name: string;
  tenant: string;
  subjects: string[];
  messages: number;
  bytes: number;
  first: number;
  last: number;
  limits: StreamLimits;
}

export interface Streams {
  next: string | null;
  items: StreamLine[];
  durable: boolean;
}

export interface StreamsAsked {
  after?: string;
  limit?: number;
  tenant?: string;
}

export interface Timeline {
  id: string;
  status: string;
  items: Event[];
  pending: Pending[];
  truncated: boolean;
}

export interface TransitionRow {
  time: string;
  component: string;
  kind: string;
  before: string;
  after: string;
  event: string;
  attempt: number;
  attempts: number;
  breaker: string;
  delay_ms: number;
  detail: string;
  by: string;
}

export interface Transitions {
  next: string | null;
  items: TransitionRow[];
}

export interface Tree {
  root: Node;
  messages: number;
  truncated: boolean;
}

export interface Verification {
  state: "done" | "never" | "running";
  progress: number;
  ok: boolean | null;
  records: number | null;
  head: string | null;
  head_checked: boolean | null;
  unsealed: number | null;
  broken_line: number | null;
  reason: string;
  by: string;
  started: string | null;
  ended: string | null;
}

export interface Warded {
  name: string;
  tenant: string;
  quarantine: QuarantineRow | null;
  credentials_revoked: number;
  connections_closed: number;
}

export interface WhyAsked {
  id: string;
}

export interface Operations {
  "GET /v1/agents": { asks: AgentsAsked; answers: Agents };
  "GET /v1/agents/{name}": { asks: OfAgent; answers: AgentRow };
  "POST /v1/agents/{name}/kill": { asks: Confirmed; answers: Warded };
  "POST /v1/agents/{name}/quarantine": { asks: Confirmed; answers: Warded };
  "POST /v1/agents/{name}/release": { asks: Reasoned; answers: Warded };
  "GET /v1/approvals": { asks: Paged; answers: Approvals };
  "GET /v1/approvals/{id}": { asks: ApprovalAsked; answers: ApprovalRow };
  "POST /v1/approvals/{id}/refuse": { asks: Settle; answers: Settled };
  "POST /v1/approvals/{id}/release": { asks: Settle; answers: Settled };
  "GET /v1/audit": { asks: AuditAsked; answers: AuditPage };
  "GET /v1/audit/verify": { asks: Nothing; answers: Verification };
  "POST /v1/audit/verify": { asks: Nothing; answers: Verification };
  "GET /v1/consumers": { asks: StreamsAsked; answers: Consumers };
  "POST /v1/consumers/{name}/rewind": { asks: Rewind; answers: RewoundRow };
  "GET /v1/dead-letters": { asks: LettersAsked; answers: Letters };
  "GET /v1/dead-letters/{id}": { asks: LetterAsked; answers: LetterRow };
  "POST /v1/dead-letters/{id}/resend": { asks: Resend; answers: Settled };
  "GET /v1/messages/{id}": { asks: OfMessage; answers: Detail };
  "GET /v1/messages/{id}/timeline": { asks: OfMessage; answers: Timeline };
  "GET /v1/messages/{id}/tree": { asks: OfMessage; answers: Tree };
  "GET /v1/messages/{id}/why": { asks: WhyAsked; answers: Explained };
  "GET /v1/overview": { asks: Nothing; answers: Overview };
  "GET /v1/policy": { asks: Nothing; answers: PolicyRow };
  "PUT /v1/policy": { asks: PutPolicy; answers: PutAnswer };
  "GET /v1/policy/data": { asks: Nothing; answers: PolicyDataRow };
  "GET /v1/policy/decisions": { asks: DecisionsAsked; answers: Decisions };
  "POST /v1/policy/diff": { asks: DiffAsked; answers: Diff };
  "POST /v1/policy/evaluate": { asks: Question; answers: Explained };
  "GET /v1/policy/revisions": { asks: Paged; answers: Revisions };
  "GET /v1/recovery": { asks: Nothing; answers: RecoveryRow };
  "GET /v1/recovery/history": { asks: HistoryAsked; answers: Transitions };
  "POST /v1/recovery/{component}/approve": { asks: OfComponent; answers: ComponentRow };
  "POST /v1/recovery/{component}/cancel": { asks: OfComponent; answers: ComponentRow };
  "GET /v1/series": { asks: Nothing; answers: Series };
  "DELETE /v1/session": { asks: Nothing; answers: void };
  "GET /v1/session": { asks: Nothing; answers: SessionAnswer };
  "POST /v1/session": { asks: SignIn; answers: SessionAnswer };
  "GET /v1/streams": { asks: StreamsAsked; answers: Streams };
}
