"""The pages are true: examples run, commands and options exist, links lead somewhere, nothing is left undocumented."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from typer.main import get_command

from episteme import Node, errors
from episteme.cli import app
from episteme.config import NodeConfig, ServerConfig
from episteme.errors import PROBLEMS
from episteme.server.app import Application
from tests.support.servers import shared

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
REQUIRED: Final = (
    "README.md",
    "docs/architecture.md",
    "docs/cli.md",
    "docs/cortex.md",
    "docs/format-events.md",
    "docs/format-keys.md",
    "docs/format-log.md",
    "docs/http.md",
    "docs/lenses.md",
    "docs/operations.md",
)
EXIT_INTERRUPTED: Final = 130  # what a shell gives a program that SIGINT ended
PACKAGES: Final = ("keycodec", "model", "wal", "stores", "cortex", "episteme")

# A block of another kind would go unchecked by a slip of the pen: pyton, shell.
KINDS: Final = frozenset({"", "python", "python no-run", "sh", "json", "ndjson", "text", "hex", "toml", "csv", "http"})

_FENCE: Final = re.compile(
    r"^(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ ]*$", re.MULTILINE | re.DOTALL
)
_LINK: Final = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^\s()<>]+)>?(?:\s+\"[^\"]*\")?\)")
_REFERENCE_LINK: Final = re.compile(r"^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
_SHELL_ENDS: Final = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    info: str
    body: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """README.md and all of docs/, as far as they are there."""
    found = [ROOT / "README.md", *DOCS.rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found if path.exists())


def text_of(page: str) -> str:
    path = ROOT / page
    if not path.exists():
        pytest.fail(f"{page} is missing", pytrace=False)
    return path.read_text("utf-8")


def blocks_of(page: str) -> list[Block]:
    text = text_of(page)
    return [
        Block(page, text.count("\n", 0, match.start("body")) + 1, match["info"].strip(), match["body"])
        for match in _FENCE.finditer(text)
    ]


def prose_of(page: str) -> str:
    """The page without its blocks and code spans."""
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", text_of(page)))


each_page = pytest.mark.parametrize("page", pages())


@pytest.mark.parametrize("page", REQUIRED)
def test_the_page_is_there_and_begins_with_a_title(page: str) -> None:
    assert text_of(page).startswith("# ")


# Python


@pytest.mark.parametrize("page", [page for page in pages() if any(block.info == "python" for block in blocks_of(page))])
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("URL", "DATA", "TOKEN", "KEY", "KEY_FILE"):
        monkeypatch.delenv(f"EPISTEME_{name}", raising=False)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    blocks = [block for block in blocks_of(page) if block.info == "python"]
    with ExitStack() as serving:
        if any("from_env" in block.body for block in blocks):
            server = serving.enter_context(shared(tmp_path / "served"))
            monkeypatch.setenv("EPISTEME_URL", server.url)
        try:
            for block in blocks:
                # Blank lines above, so that a traceback shows the line of the page.
                source = "\n" * (block.line - 1) + block.body
                exec(compile(source, page, "exec"), namespace)
        finally:
            for thing in namespace.values():
                if isinstance(thing, Node):
                    thing.close()


@each_page
def test_a_block_is_of_a_known_kind(page: str) -> None:
    assert {str(block): block.info for block in blocks_of(page) if block.info not in KINDS} == {}


@each_page
def test_json_blocks_are_json_and_python_blocks_are_python(page: str) -> None:
    for block in blocks_of(page):
        if block.info == "json":
            assert is_json(block.body) or all(map(is_json, block.body.splitlines())), f"{block} is not JSON"
        if block.info.startswith("python"):
            compile(block.body, str(block), "exec")


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


# Commands


def command_lines() -> Iterator[tuple[str, str]]:
    """Every line of a shell block that starts with episteme, with its place; continued lines are joined."""
    for page in pages():
        for block in blocks_of(page):
            if block.info == "sh":
                yield from _lines_of(block)


def _lines_of(block: Block) -> Iterator[tuple[str, str]]:
    waiting, start = "", block.line
    for number, line in enumerate(block.body.splitlines(), block.line):
        start = start if waiting else number
        waiting += line
        if waiting.endswith("\\"):
            waiting = waiting[:-1] + " "
            continue
        whole = waiting.removeprefix("$ ").strip()
        waiting = ""
        if whole == "episteme" or whole.startswith("episteme "):
            yield f"{block.page}:{start}", whole


def problem_with(line: str) -> str | None:
    """What is wrong with a command line, judged by the command tree alone; nothing runs."""
    words = list(_words_of(line))[1:]
    command: Any = get_command(app)
    path = ["episteme"]
    while words and not words[0].startswith("-") and hasattr(command, "commands"):
        if words[0] not in command.commands:
            return f"there is no command {' '.join([*path, words[0]])}"
        command = command.commands[words[0]]
        path.append(words.pop(0))
    options = options_of(command)
    arguments, index = 0, 0
    while index < len(words):
        word = words[index]
        index += 1
        name, equals, _ = word.partition("=")
        if re.fullmatch(r"-[0-9.]+", word) or not word.startswith("-"):
            arguments += 1
        elif name not in options:
            return f"{' '.join(path)} has no option {name}"
        elif not options[name] and not equals:
            if index == len(words):
                return f"{name} lacks its value"
            index += 1
    return None if "--help" in words else problem_with_arguments(command, arguments)


def problem_with_arguments(command: Any, count: int) -> str | None:
    expected = [one for one in command.params if one.param_type_name == "argument"]
    least = sum(one.required for one in expected)
    many = any(one.nargs == -1 for one in expected)
    if hasattr(command, "commands") or (least <= count and (many or count <= len(expected))):
        return None
    return f"has {count} arguments, the command takes {least} to {len(expected)}"


def options_of(command: Any) -> dict[str, bool]:
    """Each spelling of each option, and whether it is a flag."""
    named = [one for one in command.params if one.param_type_name == "option"]
    spelled = {name: bool(one.is_flag) for one in named for name in (*one.opts, *one.secondary_opts)}
    return {**spelled, "--help": True}


def _words_of(line: str) -> Iterator[str]:
    for word in shlex.split(line, comments=True):
        if word in _SHELL_ENDS:
            return
        yield word


@pytest.mark.parametrize(("place", "line"), list(command_lines()))
def test_a_command_of_the_pages_exists_with_its_options(place: str, line: str) -> None:
    problem = problem_with(line)
    assert problem is None, f"{place}: {line}: {problem}"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("episteme serve --data ./x --port=0", None),
        ("episteme vote 12ab -0.5 --reason 'not replicated' | jq .", None),
        ("episteme query Moon distance_km --lens recency -o json  # all", None),
        ("episteme log verify --help", None),
        ("episteme --version", None),
        ("episteme sing", "there is no command episteme sing"),
        ("episteme log sing", "there is no command episteme log sing"),
        ("episteme serve --loud", "episteme serve has no option --loud"),
        ("episteme compare Moon", "has 1 arguments, the command takes 2 to 2"),
        ("episteme query Moon age --lens", "--lens lacks its value"),
    ],
)
def test_the_check_of_commands_tells_right_from_wrong(line: str, problem: str | None) -> None:
    assert problem_with(line) == problem


def commands() -> dict[str, Any]:
    """Every command by its full name."""
    found: dict[str, Any] = {}

    def walk(name: str, command: Any) -> None:
        for word, below in getattr(command, "commands", {}).items():
            walk(f"{name} {word}", below)
        if not hasattr(command, "commands"):
            found[name] = command

    walk("episteme", get_command(app))
    return found


def test_the_command_line_page_mentions_every_command() -> None:
    page = text_of("docs/cli.md")
    assert [name for name in commands() if f"`{name}`" not in page] == []


def test_the_command_line_page_mentions_no_option_that_is_not_there() -> None:
    there = {spelling for command in [get_command(app), *commands().values()] for spelling in options_of(command)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text_of("docs/cli.md"))) - there == set()


def test_the_command_line_page_lists_exactly_the_exit_codes() -> None:
    table = text_of("docs/cli.md").partition("\n## Exit codes\n")[2].partition("\n## ")[0]
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    constants = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert listed - {EXIT_INTERRUPTED} == constants
    assert {row.exit_code for row in PROBLEMS.values()} <= constants


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_option_and_argument_explains_itself(name: str) -> None:
    command = commands()[name]
    assert command.help
    assert [one.name for one in command.params if not one.help] == []


# Links


@each_page
def test_relative_links_lead_to_files_and_headings(page: str) -> None:
    broken = []
    prose = prose_of(page)
    for target in [*_LINK.findall(prose), *_REFERENCE_LINK.findall(prose)]:
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.resolve().is_relative_to(ROOT) or not path.exists():
            broken.append(f"{target}: no such file")
        elif anchor and anchor not in anchors_of(path):
            broken.append(f"{target}: no such heading")
    assert broken == []


def anchors_of(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    found: set[str] = set()
    text = _FENCE.sub("", path.read_text("utf-8"))
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        again = 0
        while (anchor := f"{slug}-{again}" if again else slug) in found:
            again += 1
        found.add(anchor)
    return found


def test_anchors_are_made_as_github_makes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b-c` & d!\n## Läufe (2)\n```sh\n# no heading\n```\n## [x](y) z\n## A b-c  d\n# q\n# q\n", "utf-8"
    )
    assert anchors_of(page) == {"a-b-c--d", "läufe-2", "x-z", "a-b-c--d-1", "q", "q-1"}


def references() -> set[tuple[str, str]]:
    """Every page, and section of it, that the source names: `docs/http.md, "Errors"`."""
    found = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            text = path.read_text("utf-8")
            found.update(re.findall(r"(docs/[\w/-]+\.md)(?:, \"([^\"\n]+)\")?", text))
    return found


@pytest.mark.parametrize(("page", "section"), sorted(references()))
def test_a_page_that_the_source_names_is_there_with_its_section(page: str, section: str) -> None:
    text = text_of(page)
    if section:
        assert re.search(rf"^#+ {re.escape(section)}$", text, re.MULTILINE), f"{page} has no section {section!r}"


# Nothing undocumented


def test_the_http_page_mentions_every_route_with_its_method(tmp_path: Path) -> None:
    lines = text_of("docs/http.md").splitlines()
    missing = []
    for method, path in routes(tmp_path):
        named = re.compile(rf"{re.escape(path)}(?![\w/{{])")
        if not any(re.search(rf"\b{method}\b", line) and named.search(line) for line in lines):
            missing.append(f"{method} {path}")
    assert missing == []


def routes(folder: Path) -> list[tuple[str, str]]:
    with Node.open(folder) as node:
        application = Application(node, ServerConfig())
        try:
            found = [(str(endpoint.method), endpoint.path) for endpoint in application.endpoints]
        finally:
            application.close()
    assert len(found) > 5
    return found


def test_the_http_page_mentions_every_code_and_gives_its_status() -> None:
    page = text_of("docs/http.md")
    assert [code for code in PROBLEMS if f"`{code}`" not in page] == []
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", page, re.MULTILINE)
    assert rows
    assert [(code, status) for code, status in rows if str(PROBLEMS[code].status) != status] == []


def settings() -> list[str]:
    """Every setting of a node and of its HTTP edge, by its dotted name."""
    found = []
    for field in msgspec.structs.fields(NodeConfig):
        found += names_in(field.name, getattr(NodeConfig(), field.name))
    return found + [field.name for field in msgspec.structs.fields(ServerConfig)]


def names_in(name: str, value: object) -> list[str]:
    parts = getattr(value, "_fields", None)
    if not parts or name == "log.retention":  # which is set as a whole
        return [name]
    return [inner for part in parts for inner in names_in(f"{name}.{part}", getattr(value, part))]


def test_the_operations_page_mentions_every_setting() -> None:
    page = text_of("docs/operations.md")
    assert [name for name in settings() if f"`{name}`" not in page and f"--{name}" not in page] == []


def test_the_operations_page_mentions_no_setting_that_is_not_there() -> None:
    table = text_of("docs/operations.md").partition("\n## Settings\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}
    assert named - set(settings()) == set()
