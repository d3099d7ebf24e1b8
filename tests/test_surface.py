"""Every façade says what it offers: __all__ is sorted, has no name twice, and every name is there."""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

from tests.test_tidy import LAYERS, REGISTRIES, ROOT

# Packages that are only folders: nothing is imported from them as such.
FOLDERS: Final = frozenset({"cortex.models", "episteme.server", "stores.engines"})


def packages() -> list[str]:
    found = [path.parent for top in LAYERS for path in (ROOT / top).rglob("__init__.py")]
    return sorted(".".join(path.relative_to(ROOT).parts) for path in found)


def order(name: str) -> tuple[int, str]:
    """Constants, then classes and types, then functions, as the linter wants it."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.fixture(params=[name for name in packages() if name not in FOLDERS])
def facade(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_all_is_sorted_and_has_no_name_twice(facade: ModuleType) -> None:
    assert facade.__all__ == sorted(set(facade.__all__), key=order)


def test_every_name_of_all_exists_and_is_public(facade: ModuleType) -> None:
    assert [name for name in facade.__all__ if name.startswith("_") or not hasattr(facade, name)] == []


def test_everything_that_the_facade_imports_of_its_own_is_in_all(facade: ModuleType) -> None:
    if facade.__name__ in REGISTRIES:
        return  # what they register is reached by name
    own = {
        name
        for name, thing in vars(facade).items()
        if not name.startswith("_") and str(getattr(thing, "__module__", "")).startswith(f"{facade.__name__}.")
    }
    assert own - set(facade.__all__) == set()


def test_every_facade_has_a_docstring(facade: ModuleType) -> None:
    assert facade.__doc__


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_mere_folder_has_an_empty_init(name: str) -> None:
    assert (ROOT / Path(*name.split(".")) / "__init__.py").read_text("utf-8") == ""


def test_every_top_package_ships_its_type_mark() -> None:
    assert [top for top in LAYERS if not (ROOT / top / "py.typed").exists()] == []
