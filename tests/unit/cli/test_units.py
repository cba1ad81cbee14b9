"""The units as they are written: every place in them, how exposed they are, and whose file it is."""

import os
import plistlib
import re
import subprocess
from pathlib import Path

import pytest

from hfproxy.cli.service import units
from hfproxy.cli.service.units import SYSTEM_DIRECTORY, InstallPaths, UnitState
from hfproxy.errors import ServiceError

ROOT = Path(__file__).parents[3]
PLACES = InstallPaths("/opt/hf-proxy/bin/python", "/etc/hf-proxy", "/var/lib/hf-proxy", "/run/hf-proxy")
ADDRESS = "127.0.0.1:4880"


def texts(directory: Path) -> dict[str, str]:
    return {target.name: text for target, text in units.render_files(directory, PLACES, ADDRESS)}


@pytest.fixture(params=["user", "system"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return SYSTEM_DIRECTORY if request.param == "system" else tmp_path


def test_no_place_is_left_open(directory: Path) -> None:
    for text in texts(directory).values():
        assert not re.search(r"@[A-Z]+@", text)


def test_the_two_sockets_have_the_names_that_the_daemon_knows(directory: Path) -> None:
    """Sockets of one unit share its FileDescriptorName=, so each has a unit."""
    written = texts(directory)
    for name, passed in (("hf-proxy.socket", "control"), ("hf-proxy-data.socket", "data")):
        assert re.findall(r"^FileDescriptorName=(.*)$", written[name], re.M) == [passed]
        assert len(re.findall(r"^Listen", written[name], re.M)) == 1
    assert "ListenStream=127.0.0.1:4880\n" in written["hf-proxy-data.socket"]


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize(("kind", "most"), [("--system", 1.5), ("--user", 6.4)])
def test_a_unit_is_exposed_no_more_than_the_guide_says(tmp_path: Path, kind: str, most: float) -> None:
    """As systemd counts it, 0 to 10. What is missing to 0 would blind peer look-ups, or is not a user's manager's to do."""
    text = texts(SYSTEM_DIRECTORY if kind == "--system" else tmp_path)["hf-proxy.service"]
    unit = tmp_path / "hf-proxy.service"
    unit.write_text(text.replace(PLACES.python, "/usr/bin/env"))
    command = ["systemd-analyze", kind, "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={"XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin"}
    )
    match = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert match, done.stderr
    assert float(match[1]) <= most
    assert f"{kind.removeprefix('--')} unit {most}" in (ROOT / "docs" / "guide" / "install.md").read_text("utf-8")


def test_nothing_that_would_hide_other_processes_or_users_is_in_them(directory: Path) -> None:
    """Peer look-ups need both: the uid behind a connection, and /proc."""
    text = texts(directory)["hf-proxy.service"]
    set_ = set(re.findall(r"^([A-Za-z]+)=", text, re.M))
    assert not set_ & {"PrivateUsers", "ProtectProc", "ProcSubset", "PrivateNetwork", "PrivatePIDs", "DynamicUser"}
    if directory != SYSTEM_DIRECTORY:  # in a user's manager these need a user namespace of their own (systemd.exec(5))
        assert not {name for name in set_ if name.startswith(("Private", "Protect"))} - {"ProtectHostname"}


@pytest.mark.parametrize("path", ["/a b/ü/$HOME/%h", "/x;y#z", "/{a}/*"])
def test_a_path_of_any_letters_is_written_so_that_systemd_reads_it_back(path: str) -> None:
    assert units.quote_unit_value(path) == path.replace("%", "%%")


@pytest.mark.parametrize("path", ['/a"b', "/a'b", "/a\\b", "/a\nb", "/a\x7fb", "/a\udcffb"])
def test_a_path_that_systemd_has_no_way_to_write_is_refused(path: str) -> None:
    with pytest.raises(ServiceError, match="hf-proxy service install"):
        units.quote_unit_value(path)


class TestState:
    def test_what_was_written_is_known_again_until_one_byte_changes(self, tmp_path: Path) -> None:
        for target, text in units.render_files(tmp_path, PLACES, ADDRESS):
            assert units.unit_state(target) is UnitState.ABSENT
            target.write_text(text)
            assert units.unit_state(target) is UnitState.OURS
            for changed in (text + "#", text[:-1], text.replace("hf-proxy", "hf_proxy", 1), text.split("\n", 1)[1], ""):
                target.write_text(changed)
                assert units.unit_state(target) is UnitState.FOREIGN

    def test_a_link_is_never_ours(self, tmp_path: Path) -> None:
        """A mask, and one that leads to a file of ours."""
        for target, text in units.render_files(tmp_path, PLACES, ADDRESS):
            (tmp_path / "elsewhere").write_text(text)
            for leads_to in ("/dev/null", tmp_path / "elsewhere", tmp_path / "nowhere"):
                target.symlink_to(leads_to)
                assert units.unit_state(target) is UnitState.FOREIGN
                target.unlink()

    def test_the_address_is_found_again(self, tmp_path: Path) -> None:
        assert units.address_in(texts(tmp_path)["hf-proxy-data.socket"]) == ("127.0.0.1", 4880)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to own what only root may change")
class TestOnlyRoot:
    """The program of a daemon that runs under a user of its own."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        (tmp_path / "bin").mkdir(mode=0o755)
        (tmp_path / "bin" / "python").touch(0o755)
        return tmp_path / "bin" / "python"

    def test_one_that_only_root_changes_will_do(self, program: Path) -> None:
        units.check_only_root_changes(program)

    @pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
    def test_one_in_a_directory_that_others_may_write_into_is_refused(self, program: Path, mode: int) -> None:
        program.parent.chmod(mode)
        with pytest.raises(ServiceError, match=f"{program.parent} can be changed by users other than root"):
            units.check_only_root_changes(program)

    def test_one_that_belongs_to_another_user_is_refused(self, program: Path) -> None:
        os.chown(program.parent, 65534, 65534)
        with pytest.raises(ServiceError, match="install hf-proxy into /opt"):
            units.check_only_root_changes(program)

    def test_a_link_to_such_a_one_is_refused(self, program: Path, tmp_path: Path) -> None:
        os.chown(program, 65534, 65534)
        (tmp_path / "link").symlink_to(program)
        with pytest.raises(ServiceError, match=f"{program} can be changed by users other than root"):
            units.check_only_root_changes(tmp_path / "link")

    def test_one_in_a_home_is_refused(self) -> None:
        with pytest.raises(ServiceError, match="is in a home"):
            units.check_only_root_changes(Path("/root"))


@pytest.mark.parametrize("name", ["hf-proxy.plist", "hf-proxy.system.plist"])
def test_the_property_lists_for_macos_can_be_read(name: str) -> None:
    """Which is all that we know of them."""
    found = plistlib.loads((ROOT / "launchd" / name).read_bytes())
    assert found["ProgramArguments"][1:] == ["-I", "-m", "hfproxy", "daemon"]
    assert "Untested" in (ROOT / "launchd" / name).read_text()
