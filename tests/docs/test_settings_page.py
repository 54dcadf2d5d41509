"""docs/settings.md says what the table of settings says."""

from tests.docs.settings_page import PAGE, render, sections

from kobako.settings import Feature
from kobako.settings.fields import family_docs, rows
from kobako.settings.steps import INTERNAL, SYNONYMS


def test_the_page_is_made_of_the_table() -> None:
    assert PAGE.read_text() == render(), "run python -m tests.docs.settings_page"


def test_every_setting_has_a_sentence() -> None:
    assert [row.name for row in rows() if not row.doc.strip().endswith(".")] == []
    assert [doc for doc in family_docs() if not doc.strip().endswith(".")] == []


def test_every_step_of_the_start_is_on_the_page() -> None:
    page = PAGE.read_text()

    assert [each for each in [*Feature, *INTERNAL, *SYNONYMS] if f"{each}`" not in page] == []


def test_every_setting_is_on_the_page_once_under_a_heading() -> None:
    on_the_page = [row.name for settings in sections().values() for row in settings]

    assert on_the_page == [row.name for row in rows()]
    assert "" not in sections()
