"""What a store can refuse or report.  Each class has a stable code."""


class StoreError(Exception):
    """The parent of all that this package raises."""

    code = "store-error"


class StoreLocked(StoreError):
    """Another process, or another handle in this one, holds the folder."""

    code = "store-locked"


class StoreClosed(StoreError):
    """The store, or the snapshot, was closed, by its holder or by a bound of the store's."""

    code = "store-closed"


class StoreFailed(StoreError):
    """An engine could not read or write; the store refuses work until it is reopened."""

    code = "store-failed"


class StoreFull(StoreFailed):
    """The disk, or a quota on it, has no room; a commit that met it can be resumed, and everything tried again."""

    code = "disk-full"


class StoreTorn(StoreFailed):
    """What is left of a store is no state that it ever had, as a power cut can leave it; its log makes it anew."""

    code = "store-torn"


class InvalidBatch(StoreError):
    """A batch that the engine cannot keep: a key of a length that it has no room for, lists where it has none."""

    code = "invalid-batch"


class MapFull(StoreError):
    """LMDB's map has no room for the batch.  Inside this package only: the map grows, the commit runs again."""

    code = "store-map-full"


class UnsupportedStore(StoreError):
    """A folder of another format or a newer version."""

    code = "unsupported-format"


class UnsupportedValue(StoreError):
    """A value of an unknown version, a wrong shape, or with trailing bytes."""

    code = "unsupported-value"
