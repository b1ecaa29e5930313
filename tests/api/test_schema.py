"""schemathesis calls the service as its OpenAPI document says, and as it does not, as whoever there is: no 5xx, and problems are problems."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings

from ledger.api.app import create_app, openapi_document
from ledger.api.permits import needed
from ledger.api.problems import URN
from ledger.trust.roles import PERMISSIONS, Role
from tests.api.test_auth import Nothing

pytestmark = pytest.mark.timeout(600)
document = openapi_document(create_app(Nothing()))
OTLP = {"/v1/traces", "/v1/logs", "/v1/metrics"}  # their page wants a google.rpc.Status
OTLP_TYPES = {"application/json", "application/x-protobuf"}
UNASKED = {401, 403}
NO_SUCH_REQUEST = {
    "invalid-parameter",
    "not-found",
    "method-not-allowed",
}  # told before anybody is asked who they are
OTHERS = [None, *(role for role in Role if role is not Role.ADMIN)]


def described():
    # Told of the token it would leave it out, or send others: who asks is decided here.
    untold = {name: value for name, value in document.items() if name != "security"}
    untold["components"] = {
        name: value for name, value in document["components"].items() if name != "securitySchemes"
    }
    # A stream has no end to wait for: tests/api/test_stream.py asks it what is wrong.
    return schemathesis.openapi.from_dict(untold).exclude(path="/v1/records/stream")


def as_few():
    """Values that fit and values that do not, without what is worked out for every constraint."""
    schema = described()
    schema.config.phases.update(phases=["fuzzing"])
    return schema


schema, few = described(), as_few()


@pytest.fixture(scope="module")
def session():
    with requests.Session() as kept:
        kept.trust_env = False
        yield kept


def called(case, server, role, session):
    """Send a request as somebody; what is wrong with every answer alike is wrong here."""
    headers = {} if role is None else {"Authorization": f"Bearer {server.tokens[role]}"}
    answer = case.call(base_url=server.url, session=session, headers=headers, timeout=60)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        kind = answer.headers["content-type"][0].partition(";")[0]
        assert kind == "application/problem+json" or (case.path in OTLP and kind in OTLP_TYPES)
    return answer


def refused_where_the_table_says(case, server, role, session):
    answer = called(case, server, role, session)
    if case.method.lower() not in document["paths"][case.path]:
        assert answer.status_code == 405
        return
    permission = needed(case.method, case.path)
    if permission is None or (role is not None and permission in PERMISSIONS[role]):
        return
    if answer.status_code in UNASKED:
        assert answer.status_code == (401 if role is None else 403)
    else:
        assert answer.json()["type"].removeprefix(URN) in NO_SUCH_REQUEST, answer.text


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_a_5xx(case, server, session):
    called(case, server, Role.ADMIN, session)


@few.parametrize()
@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck))
def test_who_may_not_gets_no_answer_whatever_they_send(case, server, session):
    for role in OTHERS:
        refused_where_the_table_says(case, server, role, session)


@pytest.mark.soak
@schema.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_nobody_makes_a_5xx_or_gets_what_they_may_not(case, server, session):
    for role in [*OTHERS, Role.ADMIN]:
        refused_where_the_table_says(case, server, role, session)


def test_the_document_has_examples_and_needs_the_token(http):
    served = http.get("/openapi.json").json()
    assert served == document
    post = served["paths"]["/v1/records"]["post"]
    assert post["requestBody"]["content"]["application/json"]["examples"]
    assert served["security"] == [{"token": []}]
    assert served["paths"]["/healthz"]["get"]["security"] == []
    for path, operations in served["paths"].items():
        for operation in operations.values():
            if path not in {"/healthz", "/readyz"}:
                assert "4XX" in operation["responses"], path
                assert operation["x-permission"]
