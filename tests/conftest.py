import os

import pytest

# Set before anything imports torch, for this process and those that tests start: threads sleep
# while they wait for each other. By default they spin, and where there are more of them than cores
# a small training spends most of its time so.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        from tests.compiling import compile_kernels  # the workers are not there yet

        compile_kernels()


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch  # a second, which other runs need not wait for

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    from tests.scheduling import FileScheduling  # there is no xdist where nobody asked for -n

    config.option.loadscopereorder = False  # in the order below, not by the number of tests
    return FileScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        from tests.scheduling import place

        items.sort(key=lambda item: place(item.nodeid))  # stable: within a file nothing moves
