"""Operations that may be used."""

from tests.unit.policy.kinds.support import refused


def test_operations():
    assert refused({"kind": "operations", "allow": "chat"}, {}) is None
    assert refused({"kind": "operations", "allow": "chat"}, {}, operation="models") == "not_allowed"
    assert refused({"kind": "operations", "deny": ["chat", "models"]}, {}) == "denied"
    assert refused({"kind": "operations", "deny": "models"}, {}) is None
    assert refused({"kind": "operations", "allow": "chat", "deny": "chat"}, {}) == "denied"
    # an operation that this policy has never heard of
    assert refused({"kind": "operations", "allow": "chat"}, {}, operation="new") == "not_allowed"
