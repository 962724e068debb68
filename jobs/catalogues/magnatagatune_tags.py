"""MagnaTagATune's tags: the fifty most frequent, and which of the 188 say the same."""

from typing import Final

TOP50: Final = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast"),
    *("piano", "ambient", "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male"),
    *("singing", "vocals", "no vocals", "harpsichord", "loud", "quiet", "flute", "woman"),
    *("male vocal", "no vocal", "pop", "soft", "sitar", "solo", "man", "classic", "choir"),
    *("voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
)
"""In the order in which papers print them. Four are equally frequent in pairs, so lists differ in
their order, though not in what they hold."""

SYNONYMS: Final = (
    ("beat", "beats"),
    ("chant", "chanting"),
    ("choir", "choral"),
    ("classical", "clasical", "classic"),
    ("drum", "drums"),
    ("electro", "electronic", "electronica", "electric"),
    ("fast", "fast beat", "quick"),
    (
        *("female", "female singer", "female singing", "female vocals", "female vocal"),
        *("female voice", "woman", "woman singing", "women"),
    ),
    ("flute", "flutes"),
    ("guitar", "guitars"),
    ("hard", "hard rock"),
    ("harpsichord", "harpsicord"),
    ("heavy", "heavy metal", "metal"),
    ("horn", "horns"),
    ("india", "indian"),
    ("jazz", "jazzy"),
    (
        *("male", "male singer", "male vocal", "male vocals", "male voice", "man"),
        *("man singing", "men"),
    ),
    ("no beat", "no drums"),
    (
        *("no singer", "no singing", "no vocal", "no vocals", "no voice", "no voices"),
        "instrumental",
    ),
    ("opera", "operatic"),
    ("orchestra", "orchestral"),
    ("quiet", "silence"),
    ("singer", "singing"),
    ("space", "spacey"),
    ("string", "strings"),
    ("synth", "synthesizer"),
    ("violin", "violins"),
    ("vocal", "vocals", "voice", "voices"),
    ("strange", "weird"),
)
"""Tags that K. Choi's list takes for the same; the first of each stands for all. That list
left out `female vocal`, which copies of it in use have, and so has this: 188 tags become 134."""
