"""Settings: every value has an origin, and no mistake passes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from bus.config import Secret, Settings, load, read_stamp_keys
from bus.config.settings import StampSettings
from bus.core.errors import ConfigurationError, KeyRingError
from bus.core.limits import CONFIG_BYTES_MAX, CONFIG_STAGES_MAX

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "configuration.md"
NONE: Mapping[str, str] = {}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No settings file but the test's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "assent.toml") -> Path:
    """Write a settings file."""
    path = folder / name
    path.write_text(text)
    return path


def refused(*flags: str, **environ: str) -> str:
    """Return what a load that must fail says."""
    with pytest.raises(ConfigurationError) as caught:
        load(environ=environ, flags=flags)
    return str(caught.value)


def test_without_sources_everything_is_the_default() -> None:
    """And says so."""
    loaded = load(environ=NONE)
    assert loaded.settings == Settings()
    assert set(loaded.origins.values()) == {"default"}


def test_each_source_overrides_the_one_before(tmp_path: Path) -> None:
    """Defaults < file < environment < flags, value by value."""
    write(tmp_path, "[http]\nport = 1\nhost = 'a'\n[bus]\nmax_deliver = 2")
    loaded = load(
        environ={"ASSENT__HTTP__PORT": "2", "ASSENT__BUS__MAX_DELIVER": "3"},
        flags=["http.port=3"],
    )
    assert loaded.settings.http.port == 3
    assert loaded.settings.http.host == "a"
    assert loaded.settings.bus.max_deliver == 3
    assert loaded.origins["http.port"] == "flag --set"
    assert loaded.origins["http.host"] == "file assent.toml"
    assert loaded.origins["bus.max_deliver"] == "environment ASSENT__BUS__MAX_DELIVER"
    assert loaded.origins["bus.drain_seconds"] == "default"


def test_the_process_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the caller gives none."""
    monkeypatch.setenv("ASSENT__HTTP__PORT", "77")
    assert load().settings.http.port == 77


def test_every_type_can_be_given_as_text() -> None:
    """Numbers, booleans, paths, lists of tables, and nothing."""
    got = load(
        environ=NONE,
        flags=[
            "bus.drain_seconds=1.5",
            "policy.watch=false",
            "policy.data=a.json",
            "policy.folder=",
            'stages=[{name="redact", options={headers=["x"]}}]',
            "templates=[{subject='a.>'}]",
            "http.host=[::1]",
        ],
    ).settings
    assert got.bus.drain_seconds == 1.5
    assert got.policy.watch is False
    assert got.policy.data == Path("a.json")
    assert got.policy.folder is None
    assert got.stages[0].options == {"headers": ["x"]}
    assert got.stages[0].subjects == (">",)
    assert got.templates[0].subject == "a.>"
    assert got.http.host == "[::1]"


def test_a_relative_path_in_a_file_starts_from_that_file(tmp_path: Path) -> None:
    """And an absolute one stays."""
    (tmp_path / "etc").mkdir()
    absolute = tmp_path / "data.json"
    file = write(
        tmp_path / "etc", f"[audit]\nfile = 'log'\n[policy]\ndata = '{absolute}'"
    )
    got = load(file, NONE, ["metering.file=usage"]).settings
    assert got.audit.file == tmp_path / "etc" / "log"
    assert got.policy.data == absolute
    assert got.metering.file == Path("usage")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("bus.drain_second=1", "did you mean 'bus.drain_seconds'"),
        ("bsu.drain_seconds=1", "did you mean 'bus'"),
        ("stage=[]", "did you mean 'stages'"),
        ("bus=1", "bus: a table is needed"),
        ("stages.x=1", "stages: no key goes below it"),
        ("http.port=x", "http.port: Expected `int`, got `str`"),
        ("http.port=70000", "Expected `int` <= 65535"),
        ("http.port=1.5", "Expected `int`"),
        ("bus.drain_seconds=nan", "bus.drain_seconds: "),
        ("bus.drain_seconds=inf", "bus.drain_seconds: "),
        ("bus.drain_seconds=-1", "Expected `float` >= 0"),
        ("bus.ack_wait_seconds=0", "Expected `float` > 0"),
        ("policy.watch=maybe", "Expected `bool`"),
        ("policy.data=a\0b", "Expected the path"),
        ("http.host=", "length >= 1"),
        ("stages=redact", "not a TOML array"),
        ("stages={}", "Expected `array`"),
        ("stages=[{nmae='x'}]", "did you mean 'name'"),
        ("stages=[{}]", "missing required field `name`"),
        ("stages=[{name='x', subjects=[]}]", "length >= 1"),
        ("stages=[{name='x', subjects=['a..b']}]", "an empty token"),
        ("stages=[", "not a TOML array"),
        ("stages=[" + "9" * 5_000 + "]", "a value cannot be read"),
        ("stages=[{" + "a." * 65 + "b=1}]", "more than 64 dots"),
        ("templates=[{subjct='a'}]", "did you mean 'subject'"),
        ("templates=[{subject='>.a'}]", "stands only at the end"),
        ("no value", "section.key=value is needed"),
    ],
)
def test_a_mistake_names_key_origin_and_expectation(flag: str, said: str) -> None:
    """Whatever is wrong, the operator can find it."""
    text = refused(flag)
    assert said in text
    assert "--set" in text


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
def test_no_number_is_without_bounds(number: str) -> None:
    """Every setting that is a number refuses what no clock or queue can count."""
    shown = load(environ=NONE).shown()
    numbers = [v.key for v in shown if type(v.value) in {int, float}]
    assert len(numbers) >= 9
    for key in numbers:
        assert refused(f"{key}={number}").startswith(f"{key}: ")


def test_an_unknown_variable_is_a_mistake_too() -> None:
    """Everything under ASSENT__ is a setting; other variables are none of ours."""
    text = refused(ASSENT__HTTP__PROT="1")
    assert (
        "'http.prot' (environment ASSENT__HTTP__PROT); did you mean 'http.port'" in text
    )
    assert (
        load(environ={"ASSENT_X": "1", "assent__http__port": "x"}).settings
        == Settings()
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[http\n", "line 1"),
        (b"[http]\nport = 1\nport = 2\n", "line 3"),
        (b"x = 1\n\xff\n", "line 2 is not UTF-8"),
        (b"#" * (CONFIG_BYTES_MAX + 1), "longer than"),
        (b"a = " + b"[" * 5_000, "nested too deep"),
        (b"a = " + b"9" * 5_000, "a value cannot be read"),
        (b"[a]\n" + b"b." * 65 + b"c = 1", "assent.toml: line 2: more than 64 dots"),
        (b"[http]\nport = '1'\n", "got `str` (file assent.toml)"),
        (b"[bus]\ndrain_seconds = nan\n", "bus.drain_seconds: Expected"),
        (b"[http]\nport = true\n", "got `bool`"),
        (b"http = 1\n", "a table is needed (file assent.toml)"),
        (b"[htpt]\n", "unknown setting 'htpt'"),
        (b"[http.port]\nx = 1\n", "http.port: Expected `int`"),
        (b"[policy]\ndata = 3\n", "Expected `str`, got `int`"),
    ],
)
def test_a_file_that_is_wrong_is_refused(
    tmp_path: Path, content: bytes, said: str
) -> None:
    """With the file, and the line where there is one."""
    (tmp_path / "assent.toml").write_bytes(content)
    assert said in refused()


def test_a_named_file_must_be_there() -> None:
    """The one in the current folder need not be."""
    with pytest.raises(ConfigurationError, match=r"none\.toml: No such file"):
        load(Path("none.toml"), NONE)


def test_lists_are_bounded() -> None:
    """A file cannot ask for any number of stages."""
    many = ",".join(["{name='redact'}"] * (CONFIG_STAGES_MAX + 1))
    assert f"length <= {CONFIG_STAGES_MAX}" in refused(f"stages=[{many}]")


def test_a_secret_is_never_shown() -> None:
    """Neither by show, nor repr, nor an error."""
    loaded = load(environ={"ASSENT__STAMP__KEYS": "hunter2"})
    shown = {value.key: value.value for value in loaded.shown()}
    assert shown["stamp.keys"] == "***"
    for text in (repr(loaded), str(loaded.settings.stamp), f"{loaded.settings}"):
        assert "hunter2" not in text
    assert loaded.settings.stamp.keys == Secret("hunter2")
    assert hash(Secret("hunter2")) == hash(loaded.settings.stamp.keys)
    with pytest.raises(ConfigurationError) as caught:
        load(
            environ={"ASSENT__STAMP__KEYS": "hunter2", "ASSENT__STAMP__KYES": "hunter2"}
        )
    assert "hunter2" not in str(caught.value)


def test_show_has_every_setting_in_order() -> None:
    """With plain values, fit for JSON."""
    shown = load(environ=NONE, flags=["policy.data=x"]).shown()
    assert [value.key for value in shown] == list(load(environ=NONE).origins)
    assert {value.key: value.value for value in shown}["policy.data"] == "x"


def test_stamp_keys_come_from_file_or_text(tmp_path: Path) -> None:
    """Or from neither, then they are made for the run."""
    assert read_stamp_keys(StampSettings()) is None
    assert read_stamp_keys(StampSettings(keys=Secret("k"))) == Secret("k")
    file = write(tmp_path, "k", "keys.toml")
    file.chmod(0o600)
    assert read_stamp_keys(StampSettings(keys_file=file)) == Secret("k")


def test_stamp_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    """And so are keys from two places, and a file that is not there."""
    file = write(tmp_path, "k", "keys.toml")
    file.chmod(0o640)
    with pytest.raises(KeyRingError, match="0640"):
        read_stamp_keys(StampSettings(keys_file=file))
    with pytest.raises(KeyRingError, match="both set"):
        read_stamp_keys(StampSettings(keys_file=file, keys=Secret("k")))
    with pytest.raises(ConfigurationError, match="No such file"):
        read_stamp_keys(StampSettings(keys_file=tmp_path / "none"))


@hypothesis_settings(max_examples=150, deadline=None)
@given(key=st.text(max_size=20), value=st.text(max_size=20))
def test_no_flag_causes_another_error(key: str, value: str) -> None:
    """Fuzz: it is loaded or refused."""
    known = [f"{key}={value}", *(f"{k}={value}" for k in load(environ=NONE).origins)]
    for flag in known:
        try:
            load(environ=NONE, flags=[flag])
        except ConfigurationError:
            continue


def test_the_page_lists_every_setting_with_its_default() -> None:
    """`docs/reference/configuration.md` and the structs say the same."""
    rows: dict[str, Any] = dict(
        re.findall(
            r"^\| `([a-z_.]+)` \| [^|]+ \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE
        )
    )
    shown = {
        value.key: _as_on_the_page(value.value) for value in load(environ=NONE).shown()
    }
    assert rows == shown


def _as_on_the_page(value: object) -> str:
    if value is None or value == ():
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
