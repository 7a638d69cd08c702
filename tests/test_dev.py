"""`dev.py`: what it makes, when it makes it anew, and what it says when it cannot.

uv is played by a script that makes bare environments at once, except in one test of real pip.
"""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import dev

ROOT = Path(__file__).parent.parent

#: Notes each call; makes an environment without pip, and counts anything else as installed.
UV = """#!/bin/sh
echo "$1 $2" >> "$UV_CALLS"
case "$1" in
venv) for target; do :; done; exec "$5" -m venv --without-pip "$target" ;;
esac
"""


class Checkout:
    """A directory with dev.py, two locks and a service that says how it was called."""

    def __init__(self, root: Path) -> None:
        self.root = root / "check out"
        self.tools = root / "tools"
        (self.root / "requirements").mkdir(parents=True)
        (self.root / "followup").mkdir()
        self.tools.mkdir()
        shutil.copy(ROOT / "dev.py", self.root)
        (self.root / "followup" / "__main__.py").write_text("import sys; print(sys.argv[1:])")
        for name in ("run", "dev"):
            self.lock(name, "")

    def lock(self, name: str, text: str) -> None:
        (self.root / "requirements" / f"{name}.txt").write_text(text)

    def have_uv(self) -> None:
        (self.tools / "uv").write_text(UV)
        (self.tools / "uv").chmod(0o755)

    @property
    def uv_calls(self) -> list[str]:
        calls = self.tools / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def begin(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            (sys.executable, "dev.py", *arguments),
            cwd=self.root,
            env={
                **{"PATH": f"{self.tools}:/usr/bin:/bin", "UV_CALLS": str(self.tools / "calls")},
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def call(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """The exit status, and what was written to standard output and to standard error."""
        process = self.begin(*arguments, **environment)
        out, err = process.communicate()
        return process.returncode, out, err


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_it_parses_on_python_3_8_to_say_there_what_is_needed() -> None:
    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 8))


def test_an_older_python_is_told_which_is_needed() -> None:
    old = "import sys; sys.version_info = (3, 10, 13); sys.argv = ['dev.py', 'run']; "

    done = subprocess.run(
        (sys.executable, "-c", f"{old} import dev; dev.leave()"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "dev.py: Python 3.11 or newer is needed; this is 3.10.13\n"


def test_without_a_verb_it_lists_its_verbs(checkout: Checkout) -> None:
    status, out, _ = checkout.call()

    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == list(dev.VERBS)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(["jump"], 2, "expected one of setup, run, ", id="unknown verb"),
        pytest.param(["setup", "now"], 2, "expected no arguments, got now", id="setup takes none"),
        pytest.param(["check", "-k"], 2, "expected nothing or --no-tests", id="check takes one"),
        pytest.param(["lock", "-k"], 2, "expected --check or --upgrade", id="lock takes two"),
        pytest.param(["lock"], 2, "uv is needed on PATH", id="lock needs uv"),
        pytest.param(["bench"], 1, "there are no benchmarks yet", id="nothing to measure"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(
    checkout: Checkout, arguments: list[str], status: int, said: str
) -> None:
    found, _, err = checkout.call(*arguments)

    assert found == status
    assert said in err
    assert err.count("\n") == 1


def test_without_the_venv_module_it_says_what_to_install(
    checkout: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "ensurepip.py").write_text("raise ImportError")

    status, _, err = checkout.call("run", PYTHONPATH=str(tmp_path / "debian"))

    assert status == 2
    assert "apt install python3-venv" in err
    assert err.count("\n") == 1


def test_run_hands_its_arguments_to_followup_up(checkout: Checkout) -> None:
    checkout.have_uv()

    _, out, _ = checkout.call("run", "--fast", "--port=1 2")

    assert out == "['up', '--fast', '--port=1 2']\n"


def test_a_second_start_makes_nothing(checkout: Checkout) -> None:
    checkout.have_uv()
    checkout.call("run")

    checkout.call("run")

    assert checkout.uv_calls == ["venv --quiet", "pip install"]


def test_what_developers_need_is_put_on_top_of_what_runs(checkout: Checkout) -> None:
    checkout.have_uv()
    checkout.call("run")

    checkout.call("setup")
    checkout.call("run")

    assert checkout.uv_calls == ["venv --quiet", "pip install", "pip install"]


def test_two_commands_at_once_make_one_environment(checkout: Checkout) -> None:
    checkout.have_uv()

    both = [checkout.begin("run"), checkout.begin("run")]
    ends = [(process.communicate()[0], process.returncode) for process in both]

    assert ends == [("['up']\n", 0)] * 2
    assert checkout.uv_calls == ["venv --quiet", "pip install"]


def test_an_environment_that_was_not_finished_is_made_anew(checkout: Checkout) -> None:
    checkout.have_uv()
    half = checkout.root / ".venv" / "bin" / "half"
    half.parent.mkdir(parents=True)
    half.touch()

    _, out, _ = checkout.call("run")

    assert out == "['up']\n"
    assert not half.exists()


def _change_the_lock(checkout: Checkout) -> None:
    checkout.lock("run", "# other\n")


def _move_away(checkout: Checkout) -> None:
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))


def _uninstall_its_python(checkout: Checkout) -> None:
    python = checkout.root / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")


@pytest.mark.parametrize("change", [_change_the_lock, _move_away, _uninstall_its_python])
def test_an_environment_that_no_longer_fits_is_made_anew(
    checkout: Checkout, change: "type[object]"
) -> None:
    checkout.have_uv()
    checkout.call("run")

    change(checkout)  # type: ignore[call-arg]
    _, out, _ = checkout.call("run")

    assert out == "['up']\n"
    assert checkout.uv_calls == ["venv --quiet", "pip install"] * 2


@pytest.mark.long
def test_pip_installs_what_the_lock_says_and_nothing_else(
    checkout: Checkout, tmp_path: Path
) -> None:
    wheel = _make_wheel(tmp_path)
    checkout.lock("run", f"harbor==1 --hash=sha256:{hashlib.sha256(wheel).hexdigest()}\n")
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}

    status, _, err = checkout.call("run", **offline)
    assert status == 0, err
    assert list(checkout.root.glob(".venv/lib/*/site-packages/harbor.py"))

    checkout.lock("run", f"harbor==1 --hash=sha256:{'0' * 64}\n")
    status, _, err = checkout.call("run", **offline)
    assert status == 1
    assert "DO NOT MATCH THE HASHES" in err


def _make_wheel(folder: Path) -> bytes:
    path = folder / "harbor-1-py3-none-any.whl"
    about = "harbor-1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("harbor.py", "")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: harbor\nVersion: 1\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "is_spread"),
    [
        pytest.param([], True, id="everything"),
        pytest.param(["tests/domain", "-k", "quiet", "--no-header"], True, id="a part"),
        pytest.param(["-n0"], False, id="the user says how many"),
        pytest.param(["--numprocesses=4"], False, id="in long form"),
        pytest.param(["--pdb"], False, id="to be debugged"),
    ],
)
def test_tests_run_side_by_side_unless_the_user_says_otherwise(
    arguments: list[str], is_spread: bool
) -> None:
    assert bool(dev.side_by_side(arguments)) == is_spread


def _pins(name: str) -> dict[str, str]:
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*\])?==([^\s;]+)", lock, re.MULTILINE))


@pytest.mark.parametrize("name", ["run", "dev"])
def test_a_lock_has_what_the_project_asks_for(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"]
    if name == "dev":
        asked = [*asked, *project["dependency-groups"]["dev"]]
    pins = _pins(name)

    wanted = [Requirement(text) for text in asked]

    assert [str(each) for each in wanted if not _is_met(each, pins)] == []


def _is_met(wanted: Requirement, pins: dict[str, str]) -> bool:
    return wanted.name in pins and wanted.specifier.contains(pins[wanted.name])


def test_what_runs_has_the_same_versions_for_developers() -> None:
    assert _pins("run").items() <= _pins("dev").items()


@pytest.mark.parametrize("name", ["run", "dev"])
def test_a_lock_names_no_place_to_download_from(name: str) -> None:
    lock = (ROOT / "requirements" / f"{name}.txt").read_text()

    assert "://" not in lock
    assert not re.search(r"^-", lock, re.MULTILINE)
    assert lock.count("==") <= lock.count("--hash=sha256:")
