import os

# Set before anything imports torch, for this process and those that tests start: threads sleep
# while they wait for each other. By default they spin, and where there are more of them than cores
# a small training spends most of its time so.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
