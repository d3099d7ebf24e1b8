"""What a store can refuse or report.  Each class has a stable code."""


class StoreError(Exception):
    """The parent of all that this package raises."""

    code = "store-error"


class StoreLocked(StoreError):
    """Another process, or another handle in this one, holds the folder."""

    code = "store-locked"


class StoreClosed(StoreError):
    """The store, or the snapshot, was closed."""

    code = "store-closed"


class StoreFailed(StoreError):
    """An engine could not read or write; the store refuses work until it is reopened."""

    code = "store-failed"


class MapFull(StoreError):
    """LMDB's map has no room for the batch.  Inside this package only: the map grows, the commit runs again."""

    code = "store-map-full"


class UnsupportedStore(StoreError):
    """A folder of another format or a newer version."""

    code = "unsupported-format"


class UnsupportedValue(StoreError):
    """A value of an unknown version, a wrong shape, or with trailing bytes."""

    code = "unsupported-value"
