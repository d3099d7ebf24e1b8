"""Keys: Ed25519 seeds in private files, in the environment, and in the forms of other programs."""

from episteme.keys.forms import HEADER
from episteme.keys.key import CREDENTIAL, FILE_VARIABLE, SEED_VARIABLE, Key, KeyEntry, list_keys
from episteme.keys.places import DEFAULT_NAME, SUFFIX, key_folder, key_names, key_path, quoted_part

__all__ = [
    "CREDENTIAL",
    "DEFAULT_NAME",
    "FILE_VARIABLE",
    "HEADER",
    "SEED_VARIABLE",
    "SUFFIX",
    "Key",
    "KeyEntry",
    "key_folder",
    "key_names",
    "key_path",
    "list_keys",
    "quoted_part",
]
