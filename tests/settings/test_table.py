"""The table of settings: all of them, each described, each with names of its own, each written as it is read."""

import re
import tomllib
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from episteme.config import NodeConfig, ServerConfig
from episteme.settings import SETTINGS, Setting, example_file, read_settings, shown_value, takes
from episteme.settings.table import FIXED, SERVED_NODE
from episteme.settings.values import value_of

each_setting = pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda one: one.name)


def names_in(holder: object, path: str = "") -> list[str]:
    fields: tuple[str, ...] = getattr(holder, "_fields", ()) or getattr(holder, "__struct_fields__", ())
    found = []
    for field in fields:
        name, value = path + field, getattr(holder, field)
        if hasattr(value, "_fields") and name not in FIXED:
            found += names_in(value, f"{name}.")
        else:
            found.append(name)
    return found


def test_the_table_has_every_field_of_the_structs_but_those_that_are_fixed() -> None:
    assert {*SETTINGS} | FIXED == {*names_in(NodeConfig()), *names_in(ServerConfig())}


@each_setting
def test_a_setting_says_what_it_is_for_and_what_it_takes(setting: Setting) -> None:
    assert len(setting.description) > 8
    assert not setting.description.endswith(".")
    assert takes(setting)


def test_flags_and_variables_are_all_different() -> None:
    assert len({one.flag for one in SETTINGS.values()}) == len(SETTINGS)
    assert len({one.variable for one in SETTINGS.values()}) == len(SETTINGS)


@each_setting
def test_a_default_is_read_as_it_is_shown(setting: Setting) -> None:
    shown = shown_value(setting, setting.default)
    assert setting.default == "" or value_of(setting, shown) == setting.default
    assert type(value_of(setting, shown)) is type(setting.default)


def test_no_words_at_all_give_the_defaults() -> None:
    settings = read_settings(environ={})
    assert settings.server() == ServerConfig()
    assert settings.node() == SERVED_NODE
    assert settings.node(NodeConfig()) == NodeConfig()


def test_the_example_file_is_toml_and_says_the_defaults() -> None:
    text = re.sub(r"^#(?=[a-z_]+ = )", "", example_file(), flags=re.MULTILINE)
    written = flat(tomllib.loads(text))
    assert {name: value_of(SETTINGS[name], value) for name, value in written.items()} == {
        name: setting.default for name, setting in SETTINGS.items()
    }
    assert tomllib.loads(example_file()).keys() == {"audit", "intake", "log", "quota", "state", "store"}


def flat(table: dict[str, object], path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= flat(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("store.memory_bytes", "64MiB", 64 * 2**20),
        ("store.memory_bytes", "1.5 GiB", 3 * 2**29),
        ("store.memory_bytes", "64MB", 64_000_000),
        ("store.memory_bytes", "1_048_576", 2**20),
        ("drain_s", "2min", 120),
        ("drain_s", "3000ms", 3),
        ("idle_s_max", "1.5", 1.5),
        ("idle_s_max", "500ms", 0.5),
        ("audit.linger_ms", "2s", 2000),
        ("audit.sync_ms", "none", None),
        ("quotas", "None", None),
        ("quotas", "off", False),
        ("public", "YES", True),
        ("log_format", "json", "json"),
        ("cors_origins", "https://a.example, https://b.example", ("https://a.example", "https://b.example")),
        ("cors_origins", "", ()),
    ],
)
def test_a_text_is_read_in_the_unit_of_the_setting(name: str, text: str, value: object) -> None:
    found = value_of(SETTINGS[name], text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("port", "65536", "0 to 65535"),
        ("port", "-1", "whole number"),
        ("port", "80.5", "whole number"),
        ("port", True, "whole number"),
        ("port", "1e3", "whole number"),
        ("port", "٣", "whole number"),
        ("port", "9" * 10_000, "whole number"),
        ("connections_max", "0", "1 or more"),
        ("connections_max", str(10**30), "whole number"),
        ("connections_max", "none", "whole number"),
        ("store.memory_bytes", "64MX", "64MiB"),
        ("store.memory_bytes", "30s", "64MiB"),
        ("store.memory_bytes", "1KiB", "1MiB or more"),
        ("drain_s", "1500ms", "30s"),
        ("drain_s", "64MiB", "30s"),
        ("idle_s_max", "nan", "30s"),
        ("idle_s_max", "-1", "30s"),
        ("idle_s_max", "1000d", "30s"),
        ("public", "maybe", "true or false"),
        ("public", 1.0, "true or false"),
        ("log_format", "xml", "human or json"),
        ("host", "", "a text"),
        ("host", 7, "a text"),
        ("cors_origins", [1], "commas"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_the_setting_takes(name: str, given: object, said: str) -> None:
    with pytest.raises(ValueError, match="it takes") as caught:
        value_of(SETTINGS[name], given)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@given(setting=st.sampled_from(list(SETTINGS.values())), given_text=st.text(max_size=50))
def test_any_text_is_a_value_in_range_or_refused(setting: Setting, given_text: str) -> None:
    try:
        value = value_of(setting, given_text)
    except ValueError:
        return
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert setting.low <= value <= setting.high


@given(data=st.data(), setting=st.sampled_from([one for one in SETTINGS.values() if one.kind in ("whole", "number")]))
def test_a_number_is_read_as_it_is_shown(data: st.DataObject, setting: Setting) -> None:
    number: float = data.draw(st.integers(ceil(setting.low), int(setting.high)))
    if setting.kind == "number":
        number = float(number)
    assert value_of(setting, shown_value(setting, number)) == number


def test_least_that_is_named_is_taken() -> None:
    assert value_of(SETTINGS["idle_s_max"], "10ms") == 0.01
    with pytest.raises(ValueError, match="10ms or more"):
        value_of(SETTINGS["idle_s_max"], "9ms")


def test_every_setting_can_be_set_and_arrives_in_its_struct() -> None:
    flags = {"log_format": "json", "log_level": "error", "log.when_full": "block", "state.on_loss": "remake"}
    flags |= {
        "state.fold.on_error": "halt",
        "operators": "ab" * 32,
        "host": "::1",
        "allowed_hosts": "x",
        "cors_origins": "*",
    }
    for setting in SETTINGS.values():
        if setting.kind == "truth":
            flags[setting.name] = "true" if setting.default is not True else "false"
        elif setting.kind in ("whole", "number"):
            flags[setting.name] = "1048577" if setting.unit == "bytes" else "3"
    settings = read_settings(environ={}, flags=flags)
    arrived = msgspec.structs.asdict(settings.server()) | inner(settings.node())
    for setting in SETTINGS.values():
        assert arrived[setting.name] == settings.values[setting.name].value != setting.default, setting.name


def inner(config: NodeConfig) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in names_in(config):
        value: object = config
        for part in name.split("."):
            value = getattr(value, part)
        found[name] = value
    return found
