"""Fixtures: `lab` makes servers in the test's own directory and stops them all at its end."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import disk  # noqa: E402
import harness  # noqa: E402
import network as namespaces  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the long forms")


@pytest.fixture
def soak(request):
    return request.config.getoption("--soak")


@pytest.fixture
def tell(request):
    """tell(text): a figure for the end of the run."""
    return lambda text: request.node.user_properties.append(("told", text))


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("passed", []):
        for key, text in report.user_properties:
            if key == "told":
                terminalreporter.write_line(f"{report.nodeid.split('::')[-1]}: {text}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A test that failed shows what its servers said."""
    report = (yield).get_result()
    lab = item.funcargs.get("lab") if report.when == "call" and report.failed else None
    report.sections += [(f"end of {s.log_path}", s.log()[-3000:]) for s in lab.servers] if lab else []


class Lab:
    def __init__(self, directory):
        self.directory = directory
        self.servers = []

    def add(self, kind, name, *args, **kw):
        server = kind(self.directory / name, *args, **kw)
        self.servers.append(server)
        return server

    def tandem(self, name, config=None, **kw):
        return self.add(harness.Tandem, name, config, **kw)


@pytest.fixture
def lab(tmp_path):
    it = Lab(tmp_path)
    yield it
    failures = []
    for server in it.servers:
        try:
            server.stop()
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, "\n".join(failures)


@pytest.fixture
def network():
    """This thread, what it starts and the threads it makes are in the middle of a network of its own."""
    it = namespaces.Network()
    yield it
    it.close()


@pytest.fixture
def small_disk():
    it = disk.SmallDisks()
    yield it
    it.close()
