"""schemathesis calls the service as its OpenAPI document says, and as it does not: no 5xx, and problems are problems."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from ledger.api.app import create_app, openapi_document
from tests.api.test_auth import Nothing

document = openapi_document(create_app(Nothing()))
schema = schemathesis.openapi.from_dict(document)
OTLP = {"/v1/traces", "/v1/logs", "/v1/metrics"}  # their page wants a google.rpc.Status
OTLP_TYPES = {"application/json", "application/x-protobuf"}


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_a_5xx(case, server):
    answer = case.call(base_url=server.url, headers=server.headers, timeout=60)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        kind = answer.headers["content-type"][0].partition(";")[0]
        assert kind == "application/problem+json" or (case.path in OTLP and kind in OTLP_TYPES)


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


pytestmark = pytest.mark.timeout(600)
