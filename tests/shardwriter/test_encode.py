import hashlib
from dataclasses import replace

import numpy as np
import pytest

from shardwriter import AudioFormat, Codec, encode_clip, encode_clips
from shardwriter.keys import from_key
from tests.audio import decoded
from tests.shardwriter.builders import LABELS, SETTINGS, make_clip


def test_record_carries_what_the_clip_says() -> None:
    clip = make_clip(3)
    record = encode_clip(clip, SETTINGS).record
    for name in ("id", "split", "labels", "num_clipped", "source", "fold", "group", "metadata"):
        assert getattr(record, name) == getattr(clip, name)


def test_record_describes_the_audio() -> None:
    clip = make_clip(3)
    record = encode_clip(clip, SETTINGS).record
    assert record.sample_rate_hz == SETTINGS.audio.sample_rate_hz
    assert record.num_samples == len(clip.pcm_T)
    assert record.duration_seconds == len(clip.pcm_T) / 8000
    assert record.pcm_sha256 == hashlib.sha256(clip.pcm_T.tobytes()).hexdigest()


def test_key_leads_back_to_the_identity() -> None:
    record = encode_clip(make_clip(3), SETTINGS).record
    assert from_key(record.key) == record.id


def test_label_ids_are_places_in_the_vocabulary() -> None:
    record = encode_clip(replace(make_clip(0), labels=("wind", "bark")), SETTINGS).record
    assert record.label_ids == (2, 0)
    assert tuple(LABELS[label_id] for label_id in record.label_ids) == ("wind", "bark")


def test_clip_may_have_no_label() -> None:
    assert encode_clip(replace(make_clip(0), labels=()), SETTINGS).record.label_ids == ()


def test_audio_decodes_to_the_clip() -> None:
    clip = make_clip(3)
    np.testing.assert_array_equal(decoded(encode_clip(clip, SETTINGS).audio)[0], clip.pcm_T)


def test_label_outside_the_vocabulary_is_named() -> None:
    with pytest.raises(ValueError, match=r"made/.*0.*lacks \['thunder'\]"):
        encode_clip(replace(make_clip(0), labels=("rain", "thunder")), SETTINGS)


def test_clip_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        encode_clip(replace(make_clip(0), pcm_T=np.zeros(0, np.int16)), SETTINGS)


def test_same_clip_gives_the_same_sample() -> None:
    assert encode_clip(make_clip(3), SETTINGS) == encode_clip(make_clip(3), SETTINGS)


@pytest.mark.parametrize("num_clips", [0, 1, 7, 16, 37])
def test_clips_together_become_what_they_become_one_by_one(num_clips: int) -> None:
    clips = [make_clip(number) for number in range(num_clips)]
    assert encode_clips(clips, SETTINGS) == [encode_clip(clip, SETTINGS) for clip in clips]


def test_a_wrong_clip_among_others_is_named() -> None:
    clips = [*map(make_clip, range(9)), replace(make_clip(9), labels=("thunder",))]
    with pytest.raises(ValueError, match=r"made/.*9.*lacks \['thunder'\]"):
        encode_clips(clips, SETTINGS)


def test_clips_together_are_stored_in_formats_that_hold_no_md5_too() -> None:
    settings = replace(SETTINGS, audio=AudioFormat(codec=Codec.WAV, sample_rate_hz=8000))
    clips = [make_clip(number) for number in range(9)]
    assert encode_clips(clips, settings) == [encode_clip(clip, settings) for clip in clips]
