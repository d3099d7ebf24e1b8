"""Flags win over the environment, that over the file, that over the defaults; and whatever is wrong is told."""

from pathlib import Path

import pytest

from episteme.errors import InvalidSetting
from episteme.settings import FILE_NAME, Origin, Sourced, read_settings


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def test_the_strongest_source_wins_and_is_named(tmp_path: Path) -> None:
    file = write(
        tmp_path / "some.toml",
        'port = 1\nhost = "::1"\ndrain_s = "20s"\n[store]\nmemory_bytes = "2MiB"\n[state.fold]\npoll_s = 1\n',
    )
    environ = {"EPISTEME_PORT": "2", "EPISTEME_HOST": "127.0.0.2", "PORT": "9"}
    settings = read_settings(environ=environ, flags={"port": "3"}, file=file)
    assert settings.values["port"] == Sourced(3, Origin.FLAG, "--port")
    assert settings.values["host"] == Sourced("127.0.0.2", Origin.ENVIRONMENT, "EPISTEME_HOST")
    assert settings.values["drain_s"] == Sourced(20, Origin.FILE, str(file))
    assert settings.values["idle_s_max"] == Sourced(75.0, Origin.DEFAULT, "default")
    server, node = settings.server(), settings.node()
    assert (server.port, server.host, server.drain_s) == (3, "127.0.0.2", 20)
    assert (node.store.memory_bytes, node.state.fold.poll_s) == (2 * 2**20, 1.0)
    assert node.state.fold.on_error == "dead-letter"


def test_the_file_is_the_one_named_else_that_of_the_data_folder(tmp_path: Path) -> None:
    own = write(tmp_path / "data" / FILE_NAME, "port = 1")
    named = write(tmp_path / "named.toml", "port = 2")
    varied = write(tmp_path / "varied.toml", "port = 3")
    data = tmp_path / "data"
    assert read_settings(environ={}, data=data).file == own
    assert read_settings(environ={"EPISTEME_DATA": str(data)}).server().port == 1
    assert read_settings(environ={"EPISTEME_CONFIG": str(varied)}, data=data).server().port == 3
    assert read_settings(environ={"EPISTEME_CONFIG": str(varied)}, data=data, file=named).server().port == 2
    assert read_settings(environ={}, data=tmp_path / "other").file is None


def test_a_file_that_lies_elsewhere_may_name_the_data_folder_from_where_it_lies(tmp_path: Path) -> None:
    file = write(tmp_path / "etc" / "e.toml", 'data = "../var"')
    assert read_settings(environ={}, file=file).data == tmp_path / "etc" / ".." / "var"
    assert read_settings(environ={}, file=file, data=Path("mine")).data == Path("mine")
    assert read_settings(environ={"EPISTEME_DATA": "theirs"}, file=file).data == Path("theirs")
    write(tmp_path / "data" / FILE_NAME, 'data = "x"')
    with pytest.raises(InvalidSetting, match="lies elsewhere"):
        read_settings(environ={}, data=tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "prot is no setting; did you mean port?"),
        ("[stor]\nmemory_bytes = 1", "stor is no setting"),
        ("[store]\nmemory_byte = 1", "store.memory_byte is no setting; did you mean store.memory_bytes?"),
        ("store = 1", "store is no setting"),
        ("[log]\ndurability = 'os'", "log.durability cannot be set"),
        ("[log.retention]\ncount_min = 1", "log.retention cannot be set"),
        ("port = 'many'", "port is 'many'; it takes a whole number, 0 to 65535"),
        ("port = [1]", "port is [1]; it takes a whole number"),
        ("port = 1\nport = 2", "is not TOML"),
        ("port = ", "is not TOML"),
        ("port = " + "[" * 100_000, "is not TOML"),
        ("idle_s_max = 0", "10ms or more"),
        ("operators = ['me']", "operators has 'me'"),
        ("[log]\nsegment_bytes = 0", "log.segment_bytes is 0"),
        ("[audit]\nsync_ms = 0", "audit.sync_ms is 0"),
        ("data = 7", "data is 7"),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_the_place_and_what_is_right(
    tmp_path: Path, text: str, said: str
) -> None:
    file = write(tmp_path / "e.toml", text)
    with pytest.raises(InvalidSetting) as caught:
        read_settings(environ={}, file=file).node()
    assert said in caught.value.detail
    if not said.startswith(("log.segment_bytes", "audit.sync_ms")):
        assert str(file) in caught.value.detail


def test_a_file_that_is_not_there_or_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "large").write_bytes(b"#" * (1024 * 1024 + 1))
    for name, said in (("none", "No such file"), ("bytes", "is not TOML"), ("large", "1,048,576"), (".", "directory")):
        with pytest.raises(InvalidSetting, match=said):
            read_settings(environ={}, file=tmp_path / name)


def test_a_variable_that_is_no_setting_is_a_warning_with_the_nearest_name() -> None:
    environ = {"EPISTEME_PROT": "1", "EPISTEME_URL": "http://x", "EPISTEME_TOKEN": "eps_1", "EPISTEMEX": "1"}
    assert read_settings(environ=environ).warnings == ("EPISTEME_PROT is no setting; did you mean EPISTEME_PORT?",)


def test_a_bad_variable_and_a_bad_flag_name_themselves() -> None:
    with pytest.raises(InvalidSetting, match=r"^EPISTEME_PORT: port is 'x'"):
        read_settings(environ={"EPISTEME_PORT": "x"})
    with pytest.raises(InvalidSetting, match=r"^--port is 'x'"):
        read_settings(environ={}, flags={"port": "x"})
