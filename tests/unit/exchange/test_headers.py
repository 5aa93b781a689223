import uuid

import pytest

from extproc.errors import Refused
from extproc.exchange import headers


@pytest.mark.parametrize("value", ["a", "req_1-2.3", "A" * 128])
def test_a_sensible_request_id_is_kept(value):
    assert headers.request_id({"x-request-id": value}) == value


@pytest.mark.parametrize("value", ["", "A" * 129, "a b", "a\nb", "ä", "<script>", "a,b"])
def test_any_other_is_replaced(value):
    made = headers.request_id({"x-request-id": value})
    assert uuid.UUID(made)


def test_our_own_header_goes_before_envoys():
    assert headers.request_id({"x-request-id": "envoy", "x-llm-request-id": "client"}) == "client"


def test_only_what_is_allowed_leaves():
    allowed = frozenset({":path", "accept"})
    found = {":path": "/", "accept": "*/*", "x-forwarded-proto": "https", "cookie": "a", "x-anything": "b"}
    assert set(headers.not_upstream(found, allowed)) == {"cookie", "x-anything"}


def test_checksums_and_lengths_go_only_where_the_body_may_have_changed():
    found = {"etag": "x", "content-length": "3", "content-encoding": "gzip", "x-ratelimit-limit": "1", "cf-ray": "y"}
    assert headers.not_back(found, changed=False) == ("cf-ray",)
    assert set(headers.not_back(found, changed=True)) == {"cf-ray", "etag", "content-length", "content-encoding"}


@pytest.mark.parametrize("media", ["application/grpc", "application/grpc+json", "application/grpc+proto"])
def test_what_grpc_frames_is_no_json(media):
    with pytest.raises(Refused) as refused:
        headers.check_body({"content-type": media}, forms=False)
    assert refused.value.status == 415


@pytest.mark.parametrize("name", ["X-Team", "openai-beta", "traceparent"])
def test_headers_that_code_of_the_operators_may_set(name):
    assert headers.settable(name, "a b") == name.lower()
