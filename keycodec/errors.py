"""What a key can be refused for."""


class KeyCodecError(ValueError):
    """A key that cannot be built or read; the parent of the two below."""

    code = "bad-key"


class InvalidKeyPart(KeyCodecError):
    """A component breaks its rule: empty, too long, or holding the separator."""


class UnknownKey(KeyCodecError):
    """Bytes that no builder makes."""
