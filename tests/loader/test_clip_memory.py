import threading

from loader.clip_memory import _MOST_KEPT, ClipMemory


def test_memory_is_used_again_by_the_same_thread() -> None:
    memory = ClipMemory()
    first = memory.take(1000)
    assert len(first) >= 1000
    assert memory.take(800) is first
    assert memory.take(len(first)) is first
    assert len(memory.take(len(first) + 1)) > len(first)


def test_each_thread_has_its_own() -> None:
    memory = ClipMemory()
    taken = [memory.take(1000)]
    thread = threading.Thread(target=lambda: taken.append(memory.take(1000)))
    thread.start()
    thread.join()
    assert len(taken) == 2
    assert taken[0] is not taken[1]


def test_very_much_is_not_kept() -> None:
    memory = ClipMemory()
    assert len(memory.take(_MOST_KEPT + 1)) > _MOST_KEPT
    assert len(memory.take(10)) < _MOST_KEPT
