"""The record, version 1: what a submitter says happened. The one source of its JSON Schema, columns and docs.

Each member is annotated with its kind and the term it follows:
    fact      signed in clear
    content   in the entry only as a commitment; kept beside the log, erasable
    person    an identifier of a natural person: a commitment too, with one salt per person and log
"""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from ledger.records.limits import (
    MAX_COUNT,
    MAX_FACT_CHARACTERS,
    MAX_ID_CHARACTERS,
    MAX_LIST_ITEMS,
    MAX_NAME_CHARACTERS,
)

# Python's `$` also matches before a last newline, which no other dialect of JSON Schema does: hence the look-ahead.
HEX_16: Final = r"^[0-9a-f]{16}$(?!\n)"
HEX_32: Final = r"^[0-9a-f]{32}$(?!\n)"
HEX_64: Final = r"^[0-9a-f]{64}$(?!\n)"
VISIBLE_ASCII: Final = r"^[!-~]+$(?!\n)"
_COMMITTED: Final = {
    "type": "object",
    "properties": {"commitment": {"type": "string", "pattern": HEX_64}},
    "required": ["commitment"],
    "additionalProperties": False,
}

Text = Annotated[str, Meta(min_length=1, max_length=MAX_FACT_CHARACTERS)]
Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Amount = Annotated[int, Meta(ge=-MAX_COUNT, le=MAX_COUNT)]
Texts = Annotated[list[Text], Meta(max_length=MAX_LIST_ITEMS)]
Content = Annotated[
    Raw,
    Meta(
        extra={"kind": "content"},
        extra_json_schema={
            "$comment": 'Any JSON value, kept byte for byte; {"commitment": "<64 hex>"} keeps it with the submitter.'
        },
    ),
]
PersonId = Annotated[
    Raw,
    Meta(
        extra={"kind": "person"},
        extra_json_schema={"anyOf": [{"type": "string", "minLength": 1}, _COMMITTED]},
    ),
]


def _is(description: str, term: str = "") -> Meta:
    """What a member means, and whose term it follows."""
    return Meta(description=description, extra={"term": term} if term else {})


class Facet(Struct, forbid_unknown_fields=True):
    """One side of what happened."""


class Source(Facet):
    """Who recorded it."""

    id: Annotated[Text, _is("The recorder: an SDK instance, a gateway, an exporter", "CloudEvents source")]
    seq: (
        Annotated[Count, _is("Its own gap-free counter: a missing number is a record that never arrived")]
        | UnsetType
    ) = UNSET
    original: (
        Annotated[
            Content,
            _is("What it sent that no other member holds, where this record was made from another format"),
        ]
        | UnsetType
    ) = UNSET


class Request(Facet):
    """Who asked, and for what."""

    user: Annotated[PersonId, _is("Who asked", "OTel user.id")] | UnsetType = UNSET
    conversation_id: Annotated[Text, _is("The conversation", "OTel gen_ai.conversation.id")] | UnsetType = (
        UNSET
    )
    turn_id: Annotated[Text, _is("The turn within the conversation")] | UnsetType = UNSET
    origin: (
        Annotated[Literal["human", "schedule", "event", "agent", "system"], _is("What set it off")]
        | UnsetType
    ) = UNSET
    channel: Annotated[Text, _is("How it came: chat, mail, api")] | UnsetType = UNSET
    text: Annotated[Content, _is("The user's words", "OTel gen_ai.input.messages")] | UnsetType = UNSET


class Decision(Facet):
    """What the model decided."""

    provider: Annotated[Text, _is("Who serves the model", "OTel gen_ai.provider.name")] | UnsetType = UNSET
    request_model: Annotated[Text, _is("The model asked for", "OTel gen_ai.request.model")] | UnsetType = (
        UNSET
    )
    response_model: (
        Annotated[Text, _is("The model that answered", "OTel gen_ai.response.model")] | UnsetType
    ) = UNSET
    response_id: Annotated[Text, _is("The answer's id", "OTel gen_ai.response.id")] | UnsetType = UNSET
    finish_reason: (
        Annotated[Text, _is("Why it stopped", "OTel gen_ai.response.finish_reasons")] | UnsetType
    ) = UNSET
    input_tokens: Annotated[Count, _is("Tokens read", "OTel gen_ai.usage.input_tokens")] | UnsetType = UNSET
    output_tokens: Annotated[Count, _is("Tokens written", "OTel gen_ai.usage.output_tokens")] | UnsetType = (
        UNSET
    )
    prompt: Annotated[Content, _is("What the model was given", "OTel gen_ai.input.messages")] | UnsetType = (
        UNSET
    )
    output: Annotated[Content, _is("What it answered", "OTel gen_ai.output.messages")] | UnsetType = UNSET
    reason: Annotated[Content, _is("Why, in its own words")] | UnsetType = UNSET


class Facts(Facet):
    """The allow-listed values of a call that stay queryable after its arguments are erased."""

    amount_minor: Annotated[Amount, _is("Money, in the currency's minor unit (cents)")] | UnsetType = UNSET
    currency: Annotated[Name, _is("ISO 4217 code", "ISO 4217")] | UnsetType = UNSET
    row_count: Annotated[Count, _is("Rows touched", "OTel db.response.returned_rows")] | UnsetType = UNSET


class Tool(Facet):
    """Which tool ran, with what."""

    name: Annotated[Text, _is("The tool", "OTel gen_ai.tool.name")] | UnsetType = UNSET
    type: Annotated[Text, _is("function, extension, datastore", "OTel gen_ai.tool.type")] | UnsetType = UNSET
    call_id: (
        Annotated[Text, _is("The call's id in the model's output", "OTel gen_ai.tool.call.id")] | UnsetType
    ) = UNSET
    operation: (
        Annotated[Text, _is("The method or verb within the tool", "OCSF api.operation")] | UnsetType
    ) = UNSET
    effect: (
        Annotated[
            Literal["read", "create", "update", "delete", "execute", "send", "pay", "delegate"],
            _is("What it does to the world", "OCSF activity"),
        ]
        | UnsetType
    ) = UNSET
    protocol: Annotated[Text, _is("mcp, http, function, a2a", "OTel network.protocol.name")] | UnsetType = (
        UNSET
    )
    server: Annotated[Text, _is("Who offers the tool", "OTel server.address")] | UnsetType = UNSET
    definition_digest: (
        Annotated[Text, _is("Digest of the definition the model was offered; a change is a rug pull")]
        | UnsetType
    ) = UNSET
    arguments: (
        Annotated[Content, _is("The call's arguments", "OTel gen_ai.tool.call.arguments")] | UnsetType
    ) = UNSET
    facts: Annotated[Facts, _is("Allow-listed values that stay queryable after erasure")] | UnsetType = UNSET


class Actor(Facet):
    """One link of a delegation chain."""

    sub: Annotated[Text, _is("The actor", "RFC 8693 act.sub")]
    iss: Annotated[Text, _is("Who vouches for it", "RFC 8693 act.iss")] | UnsetType = UNSET
    client_id: Annotated[Text, _is("Its OAuth client", "RFC 8693 client_id")] | UnsetType = UNSET


class Credential(Facet):
    """What was shown as proof of identity: never the secret."""

    id: Annotated[Text, _is("The credential's id", "RFC 7519 jti")] | UnsetType = UNSET
    type: Annotated[Text, _is("bearer, dpop, mtls, api_key")] | UnsetType = UNSET
    thumbprint: Annotated[Text, _is("Of its key", "RFC 7638")] | UnsetType = UNSET


class Identity(Facet):
    """Under whose identity."""

    agent_id: Annotated[Text, _is("The agent", "OTel gen_ai.agent.id")] | UnsetType = UNSET
    agent_name: Annotated[Text, _is("Its name", "OTel gen_ai.agent.name")] | UnsetType = UNSET
    agent_version: Annotated[Text, _is("Its version", "OTel gen_ai.agent.version")] | UnsetType = UNSET
    agent_instance_id: Annotated[Text, _is("The running copy", "OTel service.instance.id")] | UnsetType = (
        UNSET
    )
    workload: Annotated[Text, _is("The workload", "SPIFFE ID")] | UnsetType = UNSET
    principal: Annotated[PersonId, _is("The person acted for", "RFC 8693 sub")] | UnsetType = UNSET
    principal_source: (
        Annotated[
            Text, _is("Where the principal was read: what an app says of itself, or what a server checked")
        ]
        | UnsetType
    ) = UNSET
    issuer: Annotated[Text, _is("Who issued the credential", "RFC 7519 iss")] | UnsetType = UNSET
    client_id: Annotated[Text, _is("The OAuth client", "RFC 8693 client_id")] | UnsetType = UNSET
    actors: (
        Annotated[
            list[Actor],
            Meta(max_length=MAX_LIST_ITEMS),
            _is("The delegation chain, outermost first", "RFC 8693 act"),
        ]
        | UnsetType
    ) = UNSET
    credential: Annotated[Credential, _is("What was shown, never the secret")] | UnsetType = UNSET
    scopes: Annotated[Texts, _is("What it was allowed", "RFC 8693 scope")] | UnsetType = UNSET


class Resource(Facet):
    """What it was done to."""

    type: Annotated[Text, _is("file, account, mailbox, repository", "OCSF resource.type")] | UnsetType = UNSET
    id: Annotated[Text, _is("Which one", "OCSF resource.uid")] | UnsetType = UNSET
    name: Annotated[Text, _is("Its name", "OCSF resource.name")] | UnsetType = UNSET
    tenant: Annotated[Text, _is("Whose", "OCSF cloud.account.uid")] | UnsetType = UNSET
    classification: (
        Annotated[
            Literal["public", "internal", "confidential", "restricted"],
            _is("How sensitive", "OCSF data_classification"),
        ]
        | UnsetType
    ) = UNSET
    destination: Annotated[Text, _is("Where something was sent", "OCSF dst_endpoint")] | UnsetType = UNSET
    trust: (
        Annotated[
            Literal["internal", "partner", "external", "external_content"],
            _is("How far its words may be believed"),
        ]
        | UnsetType
    ) = UNSET


class Policy(Facet):
    """What the rules said."""

    effect: (
        Annotated[
            Literal["allow", "deny", "require_approval", "not_evaluated", "error"],
            _is("The verdict", "OCSF authorizations.decision"),
        ]
        | UnsetType
    ) = UNSET
    engine: Annotated[Text, _is("Which engine: opa, cedar, agt")] | UnsetType = UNSET
    id: Annotated[Text, _is("The policy", "OCSF policy.uid")] | UnsetType = UNSET
    version: Annotated[Text, _is("Its version", "OCSF policy.version")] | UnsetType = UNSET
    rule: Annotated[Text, _is("The rule that matched", "OCSF rule.uid")] | UnsetType = UNSET
    mode: Annotated[Literal["enforce", "monitor"], _is("Whether it could stop anything")] | UnsetType = UNSET
    reason: Annotated[Text, _is("A code, not a sentence", "OCSF status_code")] | UnsetType = UNSET
    input: Annotated[Content, _is("What the engine was given")] | UnsetType = UNSET


class Approval(Facet):
    """Who allowed it."""

    id: Annotated[Text, _is("The approval")] | UnsetType = UNSET
    outcome: Annotated[Literal["approved", "rejected", "expired"], _is("What came of it")] | UnsetType = UNSET
    approver: Annotated[PersonId, _is("Who decided")] | UnsetType = UNSET
    arguments_commitment: (
        Annotated[
            str, Meta(pattern=HEX_64), _is("What exactly was approved: the commitment of the arguments")
        ]
        | UnsetType
    ) = UNSET
    shown: Annotated[Content, _is("What the approver saw")] | UnsetType = UNSET


class Outcome(Facet):
    """What came of it."""

    status: (
        Annotated[
            Literal["success", "failure", "denied", "timeout", "cancelled", "unknown"],
            _is("How it ended", "OCSF status"),
        ]
        | UnsetType
    ) = UNSET
    error_type: Annotated[Text, _is("The error's class", "OTel error.type")] | UnsetType = UNSET
    duration_ns: Annotated[Count, _is("Nanoseconds", "OCSF duration")] | UnsetType = UNSET
    result_count: Annotated[Count, _is("Results", "OCSF count")] | UnsetType = UNSET
    bytes_out: Annotated[Count, _is("Bytes that left", "OCSF traffic.bytes_out")] | UnsetType = UNSET
    result: Annotated[Content, _is("What the tool answered", "OTel gen_ai.tool.call.result")] | UnsetType = (
        UNSET
    )


class Trace(Facet):
    """How it hangs together."""

    trace_id: (
        Annotated[str, Meta(pattern=HEX_32), _is("The trace", "W3C Trace Context trace-id")] | UnsetType
    ) = UNSET
    span_id: (
        Annotated[str, Meta(pattern=HEX_16), _is("The span", "W3C Trace Context parent-id")] | UnsetType
    ) = UNSET
    parent_span_id: (
        Annotated[str, Meta(pattern=HEX_16), _is("The span above", "OTLP parent_span_id")] | UnsetType
    ) = UNSET
    parent_action_id: Annotated[Text, _is("The action that caused this one")] | UnsetType = UNSET
    derived_from: (
        Annotated[Texts, _is("Actions whose result flowed into this one", "PROV wasDerivedFrom")] | UnsetType
    ) = UNSET
    task_id: Annotated[Text, _is("The task", "A2A taskId")] | UnsetType = UNSET
    context_id: Annotated[Text, _is("The context", "A2A contextId")] | UnsetType = UNSET


FacetName = Literal["request", "decision", "tool", "identity", "resource"]


class Record(Struct, forbid_unknown_fields=True):
    """What a submitter says happened: one action of one agent, or a stage of it."""

    type: Annotated[
        str,
        Meta(min_length=1, max_length=MAX_NAME_CHARACTERS),
        _is(
            "action, its stages action.intent, .decision, .approval, .outcome, and others", "CloudEvents type"
        ),
    ]
    time: Annotated[
        str,
        Meta(max_length=MAX_NAME_CHARACTERS),
        _is("When, by the source's clock: RFC 3339, UTC", "CloudEvents time"),
    ]
    id: (
        Annotated[
            str,
            Meta(min_length=1, max_length=MAX_ID_CHARACTERS, pattern=VISIBLE_ASCII),
            _is("Unique in the log: the idempotency key. Made by the ledger when absent", "CloudEvents id"),
        ]
        | UnsetType
    ) = UNSET
    action_id: Annotated[Text, _is("Joins the stages of one action", "Kubernetes auditID")] | UnsetType = (
        UNSET
    )
    source: Annotated[Source, _is("Who recorded it")] | UnsetType = UNSET
    request: Annotated[Request, _is("Who asked, and for what")] | UnsetType = UNSET
    decision: Annotated[Decision, _is("What the model decided")] | UnsetType = UNSET
    tool: Annotated[Tool, _is("Which tool ran, with what")] | UnsetType = UNSET
    identity: Annotated[Identity, _is("Under whose identity")] | UnsetType = UNSET
    resource: Annotated[Resource, _is("What it was done to")] | UnsetType = UNSET
    policy: Annotated[Policy, _is("What the rules said")] | UnsetType = UNSET
    approval: Annotated[Approval, _is("Who allowed it")] | UnsetType = UNSET
    outcome: Annotated[Outcome, _is("What came of it")] | UnsetType = UNSET
    trace: Annotated[Trace, _is("How it hangs together")] | UnsetType = UNSET
    absent: (
        Annotated[dict[FacetName, Text], _is("Why a facet does not apply: such a facet is not missing")]
        | UnsetType
    ) = UNSET
    ext: (
        Annotated[
            Raw,
            Meta(
                extra_json_schema={
                    "type": "object",
                    "propertyNames": {"pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_.:/-]+)+$"},
                }
            ),
            _is('Anything else, under names like "com.example.x"', "CloudEvents extensions"),
        ]
        | UnsetType
    ) = UNSET


TYPES: Final = frozenset(
    {
        "action",
        "action.intent",
        "action.decision",
        "action.approval",
        "action.outcome",
        "request",
        "decision",
        "credential.issued",
        "credential.rotated",
        "credential.revoked",
        "agent.registered",
        "policy.changed",
        "heartbeat",
        "note",
    }
)
FACETS: Final[tuple[FacetName, ...]] = ("request", "decision", "tool", "identity", "resource")
