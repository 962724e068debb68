"""What was tried, what came of it, and what that says about a dataset.

outcome   codes and groups of outcomes, and the evidence that is kept
attempt   one try at one clip, as the attempts log holds it
listing   what the catalogue listed
snapshot  the state of each clip, from all attempts
"""
