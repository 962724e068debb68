from benchmarks.loader_memory import measure_memory, memory_line
from benchmarks.loader_process import Pass
from benchmarks.loader_scaling import ScalingRound, scaling_line


def taken(wall_seconds: float, *, cpu_seconds: float = 1.0) -> Pass:
    return Pass(
        num_clips=64, cpu_seconds=cpu_seconds, wall_seconds=wall_seconds, peak_megabytes=0.0
    )


def test_two_threads_are_compared_with_what_two_processes_got_of_the_same_machine() -> None:
    rounds = [
        ScalingRound(
            one=taken(2.0), two=taken(4 / 3, cpu_seconds=1.1), apart=(taken(2.5), taken(2.5))
        )
    ]
    line = scaling_line("whole", rounds)
    assert "do 1.50 x of one on one by the clock" in line
    assert "did 1.60 x in the same rounds" in line
    assert "94% of what the machine gave" in line
    assert "1.10 x the CPU time" in line


def test_memory_is_measured_step_by_step() -> None:
    megabytes = measure_memory()
    assert 0 < megabytes["torch"] < megabytes["loader"] < megabytes["decoder"]
    assert f"PyTorch alone takes {megabytes['torch']:.0f} MB" in memory_line(megabytes)
