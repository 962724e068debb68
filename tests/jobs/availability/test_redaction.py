"""What is kept of a message holds no secret, and is never too long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.availability.classifier import classify
from jobs.availability.classifier_redaction import redact
from jobs.availability.outcome import MAX_TEXT_BYTES
from tests.shardwriter.properties import bounded

SECRET = "S3cr3tValue"


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://rr3.googlevideo.com/videoplayback?expire=17&ip={SECRET}&sig={SECRET}",
        f"url: https://b.s3.amazonaws.com/a?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}",
        f"proxy http://user:{SECRET}@10.0.0.1:3128 refused",
        f"socks5://{SECRET}:{SECRET}@proxy.example:1080: host unreachable",
        f"Cookie: SID={SECRET}; HSID={SECRET}",
        f"{{'Cookie': 'LOGIN_INFO={SECRET}'}}",
        f"Authorization: Bearer {SECRET}",
        f"header X-Amz-Security-Token: {SECRET}",
        f"__Secure-3PSID={SECRET}; path=/",
        f"access_token={SECRET}&v=1",
        f"api_key = {SECRET}",
        f"yt-dlp --username {SECRET} --password {SECRET}",
        f"ip={SECRET}&id=3",
        f"Bearer {SECRET}xyz is not valid",
        f"/videoplayback?itag=251&lsig={SECRET}",
    ],
)
def test_secrets_are_not_kept(text: str) -> None:
    outcome = classify(text, warnings=[text])
    assert SECRET not in outcome.evidence.text
    assert SECRET not in outcome.evidence.warnings[0]
    assert "***" in outcome.evidence.text


def test_access_key_of_aws_is_not_kept() -> None:
    assert redact("key AKIAIOSFODNN7EXAMPLE denied") == "key *** denied"


@pytest.mark.parametrize(
    "text",
    [
        "ERROR: [youtube] -9VPvTfV1_4: Video unavailable",
        "Incomplete YouTube ID a. URL https://www.youtube.com/watch?v=-9VPvTfV1_4 looks truncated.",
        "All player responses are invalid. Your IP is likely being blocked by Youtube",
        "See  https://github.com/yt-dlp/yt-dlp/wiki/FAQ  for how to manually pass cookies",
        "HTTPSConnectionPool(host='a.example', port=443): Read timed out. (read timeout=20.0)",
        "KeyError: 'videoDetails'",
    ],
)
def test_what_is_no_secret_stays_as_it_was(text: str) -> None:
    assert redact(text) == text


def test_long_message_is_cut_between_characters() -> None:
    assert redact("é" * 5000) == "é" * (MAX_TEXT_BYTES // 2)
    assert redact("a" + "é" * 5000) == "a" + "é" * (MAX_TEXT_BYTES // 2 - 1)


@bounded(max_examples=100)
@given(st.text(max_size=400))
def test_redaction_is_done_once_and_is_valid_text(text: str) -> None:
    once = redact(text)
    assert redact(once) == once
    assert once.encode("utf-8").decode("utf-8") == once


def test_half_a_character_from_a_broken_program_is_replaced() -> None:
    assert redact("a\ud800b") == "a?b"
