import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from loader.augment import BankSettings, ClipBank
from loader.augment.bank_plan import place_kinds, plan_bank, rows_of_kinds
from loader.augment.clip_bank import Generation
from loader.dataset import open_dataset
from shardwriter import AudioFormat, CleanClip, Settings, ShardWriter
from shardwriter.errors import ConfigError, ShardFormatError
from shardwriter.storage import open_store
from tests.loader.builders import RATE_HZ, clip_key, clip_pcm

SEGMENT = 160
KINDS = {"dogs": ["bark"], "weather": ["rain", "wind"]}


def open_bank(
    url: str, *, kinds: dict[str, list[str]] | None = None, **changed: object
) -> ClipBank:
    settings = {"segment_seconds": SEGMENT / RATE_HZ, "byte_budget": 2 * SEGMENT * 1000, **changed}
    return ClipBank.from_dataset(url, split="train", kinds=kinds, settings=BankSettings(**settings))  # type: ignore[arg-type]


def test_rows_are_parts_of_the_clips_repeated_where_these_are_shorter(dataset_url: str) -> None:
    generation = open_bank(dataset_url).at(0)
    numbers = {clip_key(number): number for number in range(23)}
    assert sorted(generation.keys) == sorted(numbers)
    starts = set()
    for key, row_S in zip(generation.keys, generation.clips_NS.numpy(), strict=True):
        clip_T = clip_pcm(numbers[key])
        if len(clip_T) <= SEGMENT:
            np.testing.assert_array_equal(row_S, np.resize(clip_T, SEGMENT))
        else:
            windows = np.lib.stride_tricks.sliding_window_view(clip_T, SEGMENT)
            (start,) = np.flatnonzero((windows == row_S).all(axis=1))
            starts.add(int(start))
    assert len(starts) > 5


def test_a_generation_depends_on_its_number_and_not_on_what_was_loaded_before(
    dataset_url: str,
) -> None:
    changed = {"byte_budget": 2 * SEGMENT * 6}
    in_order = open_bank(dataset_url, **changed)
    got = [in_order.at(epoch) for epoch in range(4)]
    resumed = open_bank(dataset_url, **changed).at(2)
    again = in_order.at(0)
    assert len({generation.keys for generation in got}) == 4
    assert resumed.keys == got[2].keys
    assert torch.equal(resumed.clips_NS, got[2].clips_NS)
    assert torch.equal(again.clips_NS, got[0].clips_NS)


def test_another_seed_takes_other_clips(dataset_url: str) -> None:
    budget = 2 * SEGMENT * 6
    first, second = (open_bank(dataset_url, byte_budget=budget, seed=seed).at(0) for seed in (0, 1))
    assert first.keys != second.keys


def test_epochs_share_a_generation_where_the_settings_say(dataset_url: str) -> None:
    bank = open_bank(dataset_url, refresh_epochs=3)
    assert [bank.at(epoch).number for epoch in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    fixed = open_bank(dataset_url, refresh_epochs=None)
    assert fixed.at(5) is fixed.at(0)


def test_kinds_are_the_rows_with_their_labels(dataset_url: str) -> None:
    index = open_dataset(open_store(dataset_url), split="train", folds=None)
    bank = open_bank(dataset_url, kinds=KINDS)
    generation = bank.at(0)
    for kind, labels in KINDS.items():
        first, count = bank.kinds[kind]
        assert count > 3
        for key in generation.keys[first : first + count]:
            row = index.keys.to_pylist().index(key)
            ids = index.label_ids[index.label_starts[row] : index.label_starts[row + 1]]
            assert {index.labels[number] for number in ids} & set(labels)


@pytest.mark.parametrize(("max_rows", "sizes"), [(4, (2, 2)), (10, (4, 6)), (100, (4, 9))])
def test_kinds_share_the_budget_and_get_what_others_do_not_need(
    dataset_url: str, max_rows: int, sizes: tuple[int, int]
) -> None:
    index = open_dataset(open_store(dataset_url), split="train", folds=None)
    rows_of = rows_of_kinds(index, KINDS, where="bank")
    assert {kind: len(rows) for kind, rows in rows_of.items()} == {"dogs": 4, "weather": 9}
    kinds = place_kinds({"dogs": 4, "weather": 9}, max_rows=max_rows)
    assert kinds == {"dogs": (0, sizes[0]), "weather": sizes}
    plan = plan_bank(index, rows_of, kinds, segment_samples=SEGMENT, seed=0, generation=0)
    assert len(plan.rows) == sum(sizes)
    assert set(plan.rows[: sizes[0]]) <= set(rows_of["dogs"])


def test_a_response_begins_at_its_direct_path(tmp_path: Path) -> None:
    settings = Settings(name="rooms", audio=AudioFormat(sample_rate_hz=RATE_HZ), labels=())
    rng = np.random.default_rng(0)
    pcm_T = (rng.normal(size=1000) * 50).astype(np.int16)
    pcm_T[200] = -32768  # whose size int16 can't hold
    with ShardWriter(str(tmp_path), settings, max_samples_per_shard=3) as writer:
        writer.write_clip(CleanClip(id="room.wav", split="train", pcm_T=pcm_T, labels=()))
    for length in (160, 1200):
        bank = open_bank(str(tmp_path), purpose="response", segment_seconds=length / RATE_HZ)
        row_S = bank.at(3).clips_NS[0].numpy()
        # Zeros follow, up to the length of the longest response and no further.
        expected = np.zeros(min(length, len(pcm_T)), dtype=np.int16)
        expected[: min(800, length)] = pcm_T[200 : 200 + length]
        np.testing.assert_array_equal(row_S, expected)
        assert bank.at(9) is bank.at(0)  # all of them fit, so there is nothing to exchange


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"cats": ["meow"]}, r"kind 'cats' names the label 'meow'.* bark, rain"),
        ({"none": []}, r"kind 'none' has no clip"),
    ],
)
def test_a_kind_that_is_not_there_is_refused(
    dataset_url: str, kinds: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        open_bank(dataset_url, kinds=kinds)


def test_a_segment_of_no_samples_is_refused(dataset_url: str) -> None:
    with pytest.raises(ConfigError, match=r"is 0 samples at 8000 Hz"):
        open_bank(dataset_url, segment_seconds=1e-9)


def test_a_damaged_clip_is_an_error_that_names_it(own_dataset_url: str) -> None:
    index = open_dataset(open_store(own_dataset_url), split="train", folds=None)
    shard = Path(own_dataset_url) / index.tars[index.shard_N[4]]
    data = bytearray(shard.read_bytes())
    data[index.audio_offset_N[4] + 60] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(ShardFormatError, match=re.escape(str(index.keys[4]))):
        open_bank(own_dataset_url).at(0)


def test_an_error_in_the_background_is_raised_where_its_epoch_begins() -> None:
    def make(number: int, stop: threading.Event) -> Generation:
        if number == 1:
            raise ShardFormatError("damaged")
        clips_NS = torch.zeros((1, 4), dtype=torch.int16)
        return Generation(number=number, keys=("",), clips_NS=clips_NS)

    bank = ClipBank(
        make, kinds={"all": (0, 1)}, sample_rate_hz=8000, device="cpu", refresh_epochs=1
    )
    assert bank.at(0) is bank.at(0)
    with pytest.raises(ShardFormatError, match="damaged"):
        bank.at(1)
    assert bank.at(2).number == 2


def test_a_closed_bank_says_so(dataset_url: str) -> None:
    bank = open_bank(dataset_url)
    bank.close()
    with pytest.raises(RuntimeError, match="this bank was closed"):
        bank.at(0)
