"""Whose certificate a proxy has seen: believed of trusted addresses, and only where a header can be read in one way. Threat 52."""

import pytest

from ledger.core.errors import Code, LedgerError
from ledger.trust.spiffe import MAX_BYTES, TrustedProxies, workload

ID = "spiffe://example.org/ns/prod/sa/agent"
OTHER = "spiffe://example.org/ns/prod/sa/admin"


@pytest.mark.parametrize(
    "header",
    [
        f"URI={ID}",
        f"By=spiffe://example.org/proxy;Hash=468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688;URI={ID}",
        f'By=x;Hash=ab;Subject="/C=US/ST=CA/L=San Francisco/OU=Lyft, Inc;x/CN=Test";URI={ID};DNS=a.example;DNS=b.example',
        f'Subject="a \\" quoted \\\\ one";URI={ID}',
        f"uri={ID}",
        f'URI="{ID}"',
        f"URI={OTHER},URI={ID}",
        f"By=a;URI={OTHER}, By=b;URI={ID}",
        f'Cert="-----BEGIN%20CERTIFICATE-----%0A";URI={ID}',
        f"Subject=;URI={ID}",
        f"Subject=a=b;URI={ID}",
    ],
)
def test_the_last_hops_uri_is_the_workload(header):
    assert workload(header) == ID


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        ";",
        "x",
        "URI=",
        "URI=https://example.org/agent",
        "URI=spiffe://example.org",
        f"URI={ID};URI={OTHER}",
        f"URI={ID};URI={ID}",
        f"URI={ID};URI=https://example.org",
        f"URI={ID},",
        f"URI={ID};",
        f"URI={ID},By=x",
        f'URI={ID},Subject="',
        f'URI="{ID}',
        f'URI="{ID}"x',
        f'x="URI={ID}',
        f'x=",By=proxy;Subject="/C=US";URI={ID}',
        f'x="\\",By=proxy;Subject="/C=US";URI={ID}',
        f"URI={ID} x",
        f"URI={ID}\\",
        f"URI ={ID}",
        f"=x;URI={ID}",
        f"URI={ID}\n,URI={OTHER}",
        f"URI={ID.upper()}",
        f"URI={ID}/..",
        f"URI={ID}" + ";DNS=x" * MAX_BYTES,
    ],
)
def test_a_header_that_breaks_its_grammar_or_names_no_one_workload_admits_nobody(header):
    assert workload(header) is None


def test_only_the_addresses_that_were_named_are_trusted():
    proxies = TrustedProxies(["10.1.0.0/16", "192.0.2.7", "2001:db8::/32"])
    for good in ("10.1.255.1", "192.0.2.7", "2001:db8::1", "::ffff:10.1.0.1"):
        assert proxies.trust(good)
    for bad in (
        "10.2.0.1",
        "192.0.2.8",
        "127.0.0.1",
        "::1",
        "2001:db9::1",
        "::ffff:10.2.0.1",
        "",
        "localhost",
        "10.1.0.1%0",
    ):
        assert not proxies.trust(bad)


@pytest.mark.parametrize("network", ["", "x", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.0/33"])
def test_what_is_no_network_or_all_of_them_is_refused(network):
    with pytest.raises(LedgerError) as caught:
        TrustedProxies([network])
    assert caught.value.code is Code.INVALID_PARAMETER
