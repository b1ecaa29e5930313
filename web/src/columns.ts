// The columns of `actions` that can be shown, counted and filtered by. Names from an address are looked up here: none reaches SQL as it came.

export interface Column {
  name: string;
  label: string;
  sql: string;
  facet: Facet;
  kind: "text" | "integer" | "time";
  finds?: string; // the condition on $value, where that is more than that the column is the same
}

export type Facet = "request" | "decision" | "tool" | "identity" | "resource" | "policy" | "approval" | "outcome" | "trace";

const column = (facet: Facet, name: string, label: string, sql = name, kind: Column["kind"] = "text"): Column => ({
  name,
  label,
  sql,
  facet,
  kind,
});
// A person is their id for who may see it, their commitment for everybody else: both find the same person again.
const person = (facet: Facet, name: string, label: string): Column =>
  column(facet, name, label, `coalesce(${name}, ${name}_commitment)`);

export const AGENT = "coalesce(identity_agent_id, identity_agent_name)";
const CREDENTIAL = "coalesce(identity_credential->>'id', identity_credential->>'thumbprint')";
export const RESOURCE = "coalesce(resource_id, resource_name, resource_destination)";
const PERSON = "coalesce(identity_principal, identity_principal_commitment, request_user, request_user_commitment)";

export const COLUMNS: Column[] = [
  person("request", "request_user", "User"),
  column("request", "request_origin", "Origin"),
  column("request", "request_channel", "Channel"),
  column("request", "request_conversation_id", "Conversation"),
  column("request", "request_turn_id", "Turn"),
  column("decision", "decision_provider", "Provider"),
  column("decision", "decision_request_model", "Model asked"),
  column("decision", "decision_response_model", "Model"),
  column("decision", "decision_response_id", "Response"),
  column("decision", "decision_finish_reason", "Finished by"),
  column("decision", "decision_input_tokens", "Tokens in", "decision_input_tokens", "integer"),
  column("decision", "decision_output_tokens", "Tokens out", "decision_output_tokens", "integer"),
  column("tool", "tool_name", "Tool"),
  column("tool", "tool_effect", "Effect"),
  column("tool", "tool_type", "Type"),
  column("tool", "tool_operation", "Operation"),
  column("tool", "tool_protocol", "Protocol"),
  column("tool", "tool_server", "Server"),
  column("tool", "tool_call_id", "Call"),
  column("tool", "tool_definition_digest", "Definition"),
  column("identity", "agent", "Agent", AGENT),
  column("identity", "identity_agent_name", "Agent's name"),
  column("identity", "identity_agent_version", "Version"),
  column("identity", "identity_agent_instance_id", "Instance"),
  column("identity", "identity_workload", "Workload"),
  person("identity", "identity_principal", "On behalf of"),
  column("identity", "identity_principal_source", "Known from"),
  column("identity", "identity_issuer", "Issuer"),
  column("identity", "identity_client_id", "Client"),
  column("identity", "credential", "Credential", CREDENTIAL),
  column("identity", "submitter", "Submitter"),
  column("resource", "resource_id", "Resource"),
  column("resource", "resource_name", "Name"),
  column("resource", "resource_type", "Kind"),
  column("resource", "resource_tenant", "Tenant"),
  column("resource", "resource_classification", "Classification"),
  column("resource", "resource_destination", "Destination"),
  column("resource", "resource_trust", "Trust"),
  column("policy", "policy_effect", "Policy"),
  column("policy", "policy_engine", "Engine"),
  column("policy", "policy_id", "Policy's id"),
  column("policy", "policy_version", "Policy's version"),
  column("policy", "policy_rule", "Rule"),
  column("policy", "policy_mode", "Mode"),
  column("policy", "policy_reason", "Reason"),
  column("approval", "approval_outcome", "Approval"),
  column("approval", "approval_id", "Approval's id"),
  person("approval", "approval_approver", "Approver"),
  column("outcome", "outcome_status", "Outcome"),
  column("outcome", "execution", "Execution"),
  column("outcome", "outcome_error_type", "Error"),
  column("outcome", "outcome_duration_ns", "Took (ns)", "outcome_duration_ns", "integer"),
  column("outcome", "outcome_result_count", "Results", "outcome_result_count", "integer"),
  column("outcome", "outcome_bytes_out", "Bytes out", "outcome_bytes_out", "integer"),
  column("trace", "session_id", "Session"),
  column("trace", "trace_trace_id", "Trace"),
  column("trace", "trace_span_id", "Span"),
  column("trace", "trace_task_id", "Task"),
  column("trace", "action_id", "Action"),
];

const reached = (facet: Facet, name: string, label: string, sql: string, finds: string): Column => ({ ...column(facet, name, label, sql), finds });
/** What can be filtered by, and is no column of its own: one of several that name the same, or wherever the value stands that something is reached with. */
const FILTERS: Column[] = [
  column("identity", "person", "For, or asked by", PERSON),
  column("resource", "resource", "Acted on", RESOURCE),
  reached("identity", "by_credential", "With the credential", CREDENTIAL, "(identity_credential->>'id' = $value OR identity_credential->>'thumbprint' = $value)"),
  reached(
    "identity",
    "by_agent",
    "By or through the agent",
    AGENT,
    "(identity_agent_id = $value OR identity_agent_name = $value OR coalesce(list_contains(json_extract_string(identity_actors, '$[*].sub'), $value), false))",
  ),
  reached(
    "identity",
    "by_user",
    "For or by the user",
    PERSON,
    "(request_user = $value OR request_user_commitment = $value OR identity_principal = $value OR identity_principal_commitment = $value)",
  ),
  reached("resource", "on_resource", "On, or sent to", RESOURCE, "(resource_id = $value OR resource_name = $value OR resource_destination = $value)"),
];

export const BY_NAME: ReadonlyMap<string, Column> = new Map([...COLUMNS, ...FILTERS].map((each) => [each.name, each]));
export const known = (name: string): Column => BY_NAME.get(name)!;

/** What is counted beside the table. */
export const COUNTED: readonly string[] = [
  "outcome_status",
  "policy_effect",
  "agent",
  "tool_name",
  "tool_effect",
  "resource_id",
  "resource_trust",
  "identity_principal",
  "resource_destination",
  "approval_outcome",
  "submitter",
];
export const SHOWN: readonly string[] = ["agent", "tool_name", "resource_id", "identity_principal", "policy_effect", "outcome_status"];
/** Of these the ones that read as text in a proportional type; all others are names for machines. */
export const WORDS: ReadonlySet<string> = new Set(["outcome_status", "policy_effect", "approval_outcome", "execution", "tool_effect"]);
