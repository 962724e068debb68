"""What was tried, what came of it, and what that says about a dataset.

outcome     codes and groups of outcomes, and the evidence that is kept
classifier  from a failure to its code, by an ordered table of rules
attempt     one try at one clip, as the attempts log holds it
log         the attempts log, append-only, in parts that a kill can't tear
policy      what follows from an outcome, within a run and between runs
breaker     stops asking where every answer would be the same
canaries    clips whose answer is known, to tell us from them
listing     what the catalogue listed
snapshot    the state of each clip, in the store
reduction   how that follows from all attempts
reclassify  old attempts, judged by the rules of today
"""
