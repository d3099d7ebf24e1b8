"""What an event can be refused for.

Every class has a stable code; the table from codes to HTTP status and exit
code lives at the edge (episteme/errors.py).
"""


class ModelError(ValueError):
    """The parent of all that this package raises."""

    code = "malformed"


class Malformed(ModelError):
    """Bytes that are not JSON, not UTF-8, or not shaped like an envelope at all."""

    code = "malformed"


class InvalidField(ModelError):
    """One field breaks its rule.

    pointer: the field as a JSON pointer (RFC 6901) into what was sent.
    """

    code = "invalid-field"

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer or '/'}: {detail}")
        self.pointer = pointer
        self.detail = detail


class UnknownKind(InvalidField):
    """An event kind that this version does not know."""

    code = "unknown-kind"


class InvalidSignature(InvalidField):
    """A signature that does not verify over this very content."""

    code = "invalid-signature"


class UnknownBundle(InvalidField):
    """A signature by a bundle that is not there."""

    code = "unknown-bundle"


class UnsupportedRecord(ModelError):
    """A log record of a version that this program cannot read, or with trailing bytes."""

    code = "unsupported-record"


class FieldRule(ValueError):
    """Raised inside a struct's own check; decoding turns it into InvalidField with the whole path."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail
