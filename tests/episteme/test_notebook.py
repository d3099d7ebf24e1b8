"""Answers in a notebook: small tables in which what agents wrote can do nothing."""

from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from episteme import Key, Node
from episteme.notebook import CELL_CHARS_MAX, ROWS_MAX, html_table

TAGS = {"table", "caption", "thead", "tbody", "tr", "th", "td"}


class Parsed(HTMLParser):
    """Which tags a page has, and what it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.shown: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert {name for name, _ in attrs} <= {"style", "colspan"}

    def handle_data(self, data: str) -> None:
        self.shown.append(data)


@given(st.text(), st.lists(st.tuples(st.text(), st.text()), max_size=30))
def test_no_text_becomes_a_tag_or_a_long_cell(caption: str, rows: list[tuple[str, str]]) -> None:
    page = Parsed(html_table(caption, ("a", "b"), rows, len(rows)))
    assert set(page.tags) <= TAGS
    assert page.tags.count("tr") == 1 + min(len(rows), ROWS_MAX) + (len(rows) > ROWS_MAX)
    assert all(len(text) <= CELL_CHARS_MAX and text.isprintable() for text in page.shown)


def test_answer_and_comparison_show_values_shares_and_what_decided(tmp_path: Path) -> None:
    with Node.open(tmp_path, key=Key.generate()) as db:
        db.assert_("<script>alert(1)</script>", "is", "<b>bold</b>", source_class="clinical")
        db.key = Key.generate()
        last = db.assert_("<script>alert(1)</script>", "is", True, wait_s=10)
        answer = db.query("<script>alert(1)</script>", "is", min_seq=last.seq)
        page = Parsed(answer._repr_html_())
        assert set(page.tags) <= TAGS
        assert {"✓", "<b>bold</b>", "true", "0.50"} <= set(page.shown)
        compared = Parsed(db.compare("<script>alert(1)</script>", "is")._repr_html_())
        assert set(compared.tags) <= TAGS
        assert {"consensus", "authority"} <= set(compared.shown)
        nothing = Parsed(db.query("never claimed", "is")._repr_html_())
        assert "never claimed · is: — (none; consensus" in nothing.shown[0]
