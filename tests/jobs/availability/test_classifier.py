"""Words to codes: a corpus of real messages, and what no message may do to the classifier."""

import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.classifier import RULES_VERSION, classify, classify_evidence
from jobs.availability.classifier_facts import facts_of
from jobs.availability.classifier_rules import RULES
from jobs.availability.outcome import GROUPS, MAX_TEXT_BYTES, OUR_CODES, Code, Evidence, Group
from tests.jobs.availability.corpus import messages
from tests.shardwriter.properties import bounded

CORPUS = messages()


def judge(row: dict[str, Any]) -> Code:
    outcome = classify(
        row["text"], is_media=row.get("is_media", False), warnings=row.get("warnings", ())
    )
    return outcome.code


@pytest.mark.parametrize("row", CORPUS, ids=lambda row: f"{row['code']}: {row['text'][:60]}")
def test_each_real_message_gets_its_code(row: dict[str, Any]) -> None:
    assert judge(row) == row["code"]


def test_corpus_shows_every_code_that_words_can_give() -> None:
    from_words = {code for code, _ in RULES} - OUR_CODES
    shown = Counter(Code(row["code"]) for row in CORPUS)
    assert from_words - set(shown) == set()
    assert Code.UNKNOWN not in shown


def test_every_code_has_a_group() -> None:
    assert set(GROUPS) == set(Code)
    assert set(GROUPS.values()) == set(Group)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text.replace("'", "\u2019"),
        lambda text: text.replace("\u2019", "'"),
        lambda text: "\r" + text.replace(" ", " \x1b[31m"),
        lambda text: text.replace(" ", "\n  "),
    ],
)
def test_case_apostrophes_colours_and_line_breaks_change_no_code(change: Any) -> None:
    changed = [row | {"text": change(row["text"])} for row in CORPUS if "://" not in row["text"]]
    assert len(changed) > 100
    assert {row["text"]: judge(row) for row in changed} == {r["text"]: r["code"] for r in changed}


def test_blocked_session_is_not_taken_for_a_deleted_video() -> None:
    deleted = classify("ERROR: [youtube] abc: Video unavailable. This video has been removed")
    blocked = classify(
        "ERROR: [youtube] abc: Video unavailable. This content isn't available, try again later"
    )
    assert (deleted.group, blocked.group) == (Group.UNCLEAR, Group.BLOCKED)


def test_outcome_keeps_the_message_its_version_and_what_else_was_known() -> None:
    outcome = classify(
        "ERROR: \r[download] Got error: HTTP Error 403: Forbidden",
        is_media=True,
        warnings=["nsig extraction failed"],
        playability=["web:OK"],
    )
    assert outcome.rules_version == RULES_VERSION
    assert outcome.evidence == Evidence(
        text="ERROR: \r[download] Got error: HTTP Error 403: Forbidden",
        is_media=True,
        warnings=("nsig extraction failed",),
        playability=("web:OK",),
    )


def test_statuses_of_media_speak_of_its_url_and_not_of_the_video() -> None:
    codes = [classify("HTTP Error 404: Not Found", is_media=media).code for media in (False, True)]
    assert codes == [Code.HTTP_404, Code.HTTP_404_MEDIA]


@pytest.mark.parametrize(
    ("status", "code"),
    [("UNPLAYABLE", Code.UNAVAILABLE_UNSPECIFIED), ("LOGIN_REQUIRED", Code.LOGIN_REQUIRED)],
)
def test_playability_decides_where_words_do_not(status: str, code: Code) -> None:
    assert classify("ERROR: Nope", playability=[f"web:{status}"]).code == code
    assert classify("ERROR: Private video", playability=[f"web:{status}"]).code == Code.PRIVATE


def test_message_that_no_rule_knows_is_unknown_and_kept() -> None:
    outcome = classify("ERROR: [youtube] abc: a sentence from next year")
    assert (outcome.code, outcome.group) == (Code.UNKNOWN, Group.UNCLEAR)
    assert outcome.evidence.text == "ERROR: [youtube] abc: a sentence from next year"


PIECES = st.sampled_from([row["text"] for row in CORPUS] + ["?", "=", "://", "@", "\x1b[", " "])


@bounded(max_examples=150)
@given(
    text=st.lists(PIECES | st.text(max_size=40), max_size=12).map("".join),
    warnings=st.lists(st.text(max_size=900), max_size=20),
    playability=st.lists(st.text(max_size=90), max_size=3),
    is_media=st.booleans(),
)
def test_any_text_gets_a_code_from_bounded_evidence_that_gives_it_again(
    text: str, warnings: list[str], playability: list[str], is_media: bool
) -> None:
    outcome = classify(text, is_media=is_media, warnings=warnings, playability=playability)
    assert classify_evidence(outcome.evidence) == (outcome.code, outcome.group)
    assert GROUPS[outcome.code] == outcome.group
    assert len(outcome.evidence.text.encode()) <= MAX_TEXT_BYTES
    assert sum(len(line.encode()) for line in outcome.evidence.warnings) <= 6400


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    ["a", " ", "://", "http://@", "x-a-", "cookie:", "key=", "\x1b[", "sid", "\u2019", "1 "],
)
def test_no_text_takes_long(piece: str) -> None:
    for _ in range(20):
        facts_of(classify(piece * 2_000_000).evidence)


def test_classifier_works_without_yt_dlp() -> None:
    program = (
        "import sys; sys.modules['yt_dlp'] = None\n"
        "from jobs.availability.classifier import classify\n"
        "print(classify('ERROR: [youtube] abc: Private video').code)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert process.stdout.strip() == "private"
