"""What worker processes have in common, loaded once: they are forked from a process that has it.

Importing this module loads it. The imports take 0.4 s of CPU time and the compiled functions 0.9,
far more than forking does; each is loaded by its first call, so a short clip is made here.
"""

import numpy as np

from jobs.compiling import show_compiling
from jobs.ingesting import making as making  # what a worker runs, and all that it imports
from shardwriter import AudioFormat, CleanClip, Settings, encode_clips
from shardwriter.audio import clean_audio
from shardwriter.md5 import GROUP_CLIPS
from shardwriter.wav import encode_wav


def _make_clips() -> None:
    wav = encode_wav(np.zeros(4410, np.int16), sample_rate_hz=44_100)
    settings = Settings(name="preload", audio=AudioFormat(), labels=())
    audio = clean_audio(
        wav, file="preload.wav", sample_rate_hz=settings.audio.sample_rate_hz, max_seconds=1.0
    )
    clip = CleanClip(id="preload/1", split="train", pcm_T=audio.pcm_T, labels=())
    encode_clips([clip] * GROUP_CLIPS, settings)


show_compiling(is_worker=True)
_make_clips()
