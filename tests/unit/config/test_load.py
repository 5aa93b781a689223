"""From files and environment to a checked configuration, every error with its place and what would be allowed."""

import pytest

from extproc.config.load import load, shipped
from extproc.errors import ConfigError
from extproc.runtime import compile_runtime


def write(folder, text, name="extproc.yaml"):
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def good(folder, text, environment=None):
    return load(write(folder, text), environment or {}).config


def problems(folder, text, environment=None):
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), environment or {})
    return caught.value.problems


OPENAI = "providers:\n  openai: {keys: env:OPENAI_API_KEY}\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        (
            "gatway: {port: 1}\n",
            1,
            9,
            "unknown key, did you mean 'gateway'? allowed here: attach, gateway, guard, health, log",
        ),
        ("gateway:\n  prot: 1\n", 2, 9, "unknown key, did you mean 'port'? allowed here: address, admin_port"),
        ("gateway:\n  zzz: 1\n", 2, 8, "unknown key; allowed here: address"),
        ("gateway: {tls: {cert: a, kye: b}}\n", 1, 31, "did you mean 'key'?"),
        ("gateway: {port: x}\n", 1, 17, "valid integer"),
        ("gateway: {port: 65536}\n", 1, 17, "less than or equal to 65535"),
        ("gateway: {max_body: 32 parsecs}\n", 1, 21, "is not a size; write bytes or a unit"),
        ("gateway: {max_body: 0}\n", 1, 21, "greater than 0"),
        ("processor: {message_timeout: 10}\n", 1, 30, "is not a duration; write a number with its unit"),
        ("processor: {workers: 65}\n", 1, 22, "less than or equal to 64"),
        ("policies:\n  p: {kind: regex, patern: [a]}\n", 2, 28, "did you mean 'patterns'?"),
        ("policies:\n  p: {kind: nope}\n", 2, 6, "wordlist"),
        ("policies:\n  p: {action: block}\n", 2, 6, "kind"),
        ("policies:\n  p: {kind: regex, patterns: [a], mode: off}\n", 2, 41, "'enforce' or 'audit'"),
        ("policies:\n  p: {kind: regex, patterns: [a], action: reply}\n", 2, 6, "needs a `reply` text"),
        ("policies:\n  bad name: {kind: pii}\n", 2, 13, "pattern"),
        ("models:\n  gp*t: openai\n", 2, 3, "'gp*t': a glob may only end in one '*'"),
        ("models:\n  'gpt-**': openai\n", 2, 3, "a glob may only end in one '*'"),
        ("models:\n  '': openai\n", 2, 3, "1 to 200 characters"),
        ("models:\n  m: []\n", 2, 6, "at least 1 item"),
        ("models:\n  m: [{use: openai, wieght: 1}]\n", 2, 29, "did you mean 'weight'?"),
        ("models:\n  m: {backends: [openai], timeout: 5}\n", 2, 36, "is not a duration"),
        ("providers:\n  openai: {base_url: ftp://x}\n", 2, 22, "must begin with http"),
        ("providers:\n  mine: {type: openai-compatible}\n", 2, 3, "needs a `base_url`"),
        ("providers:\n  mine: {base_url: http://x}\n", 2, 3, "needs a `type`"),
        ("version: 2\n", 1, 10, "Input should be 1"),
        ("log: {content: full}\n", 1, 16, "'none'"),
        ("attach:\n  - {use: a, to: some}\n", 2, 18, "'all'"),
        ("teams: {}\n", 1, 8, "is reserved for a later version"),
        ("callers: {}\n", 1, 10, "is reserved for a later version"),
        ("store: redis://x\n", 1, 8, "is reserved for a later version"),
    ],
)
def test_an_error_has_its_place_and_says_what_is_allowed(tmp_path, text, line, column, message):
    found = next(each for each in problems(tmp_path, text) if message in each.message)
    assert found.file.endswith("extproc.yaml")
    if column > 3:  # errors of a whole mapping stand where it begins
        assert (found.line, found.column) == (line, column)
    else:
        assert 1 <= found.line <= line


def test_all_errors_are_told_at_once(tmp_path):
    found = problems(tmp_path, "gateway: {port: x, adress: y}\nlog: {format: xml}\n")
    assert [each.path for each in found] == ["gateway.port", "gateway.adress", "log.format"]


def test_an_error_in_an_included_file_names_that_file(tmp_path):
    (tmp_path / "more.yaml").write_text("gateway:\n  prt: 1\n", "utf-8")
    (found,) = problems(tmp_path, "include: more.yaml\n")
    assert found.file.endswith("more.yaml")
    assert (found.line, found.column) == (2, 8)


def test_short_forms(tmp_path):
    config = good(
        tmp_path,
        OPENAI
        + "models:\n  a: openai\n  b: [openai/x, {use: openai/y, weight: 2}]\n  c: {backends: openai/z}\n".replace(
            "openai/z}", "[openai/z]}"
        ),
    )
    assert [[backend.use for backend in group.backends] for group in config.models.values()] == [
        ["openai"],
        ["openai/x", "openai/y"],
        ["openai/z"],
    ]
    assert [group.weighted for group in config.models.values()] == [False, True, False]
    assert config.providers["openai"].keys == ["env:OPENAI_API_KEY"]
    assert good(tmp_path, "attach: [{use: pii}]").attach[0].use == ["pii"]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("4096", 4096),
        ("1KiB", 1024),
        ("32MiB", 32 << 20),
        ("1GiB", 1 << 30),
        ("5MB", 5_000_000),
        ("2 KB", 2000),
        ("1.5KiB", 1536),
        ("7B", 7),
        ("'64'", 64),
    ],
)
def test_sizes_have_units(tmp_path, value, size):
    assert good(tmp_path, f"gateway: {{max_body: {value}}}").gateway.max_body == size


@pytest.mark.parametrize("value", ["-1", "5mb", "1TB", "x", "true", "1.5", "[1]", "5 5", "1e3", "null", "''"])
def test_what_is_no_size_is_refused(tmp_path, value):
    assert problems(tmp_path, f"gateway: {{max_body: {value}}}")[0].path == "gateway.max_body"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("250ms", 0.25), ("2s", 2), ("1.5s", 1.5), ("5m", 300), ("1h", 3600), ("1d", 86400), ("2 s", 2)],
)
def test_durations_have_units(tmp_path, value, seconds):
    assert good(tmp_path, f"processor: {{message_timeout: {value}}}").processor.message_timeout == seconds


@pytest.mark.parametrize("value", ["2", "0s", "-1s", "2sec", "true", "x", "''", "1:30"])
def test_what_is_no_duration_is_refused(tmp_path, value):
    assert problems(tmp_path, f"processor: {{message_timeout: {value}}}")[0].path == "processor.message_timeout"


@pytest.mark.parametrize("reference", ["env:ADDRESS", "$ADDRESS", "${ADDRESS}", "os.environ/ADDRESS"])
def test_references_are_whole_values(tmp_path, reference):
    assert good(tmp_path, f"gateway: {{address: '{reference}'}}", {"ADDRESS": "0.0.0.0"}).gateway.address == "0.0.0.0"
    assert good(tmp_path, f"redaction: 'x {reference}'", {"ADDRESS": "0.0.0.0"}).redaction == f"x {reference}"


def test_a_reference_keeps_the_type_of_what_it_refers_to(tmp_path):
    assert good(tmp_path, "gateway: {port: env:P, max_body: env:S}", {"P": "9", "S": "2MiB"}).gateway.port == 9


def test_a_reference_that_leads_nowhere_is_named_with_its_place(tmp_path):
    (found,) = problems(tmp_path, "gateway:\n  address: env:NOPE\n")
    assert found.message == "the environment variable NOPE is not set"
    assert (found.line, found.column) == (2, 12)
    assert problems(tmp_path, "gateway: {address: env:EMPTY}", {"EMPTY": ""})


def test_keys_and_patterns_are_not_resolved(tmp_path):
    config = good(
        tmp_path,
        OPENAI + "policies:\n  p: {kind: regex, patterns: ['$HOME']}\n",
        {"OPENAI_API_KEY": "sk-1", "HOME": "/x"},
    )
    assert config.providers["openai"].keys == ["env:OPENAI_API_KEY"]
    assert config.policies["p"].patterns == ["$HOME"]


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, 8443), ({"EXTPROC_GATEWAY__PORT": "9443"}, 9443), ({"PORT": "8000"}, 8000),
        ({"PORT": "8000", "EXTPROC_GATEWAY__PORT": "9443"}, 9443), ({"PORT": ""}, 8443),
        ({"EXTPROC_TEST_DATA": "/x", "EXTPROC_POLICIES": "/x", "EXTPROC_CONFIG": "/x", "EXTPROC_STATE": "/x"}, 8443),
    ],
)  # fmt: skip
def test_the_environment_overrides_the_file(tmp_path, environment, wanted):
    assert good(tmp_path, "gateway: {address: 0.0.0.0}", environment).gateway.port == wanted
    if "EXTPROC_GATEWAY__PORT" in environment or "PORT" in environment:
        assert good(tmp_path, "gateway: {port: 7}", environment).gateway.port == (
            7 if environment.get("PORT") == "" else wanted
        )


def test_any_field_can_be_set_by_the_environment(tmp_path):
    config = good(
        tmp_path,
        "",
        {
            "EXTPROC_LOG__FORMAT": "json",
            "EXTPROC_GATEWAY__CORS__ORIGINS": "['https://a']",
            "EXTPROC_REDACTION": "[",
            "EXTPROC_PROCESSOR__MAX_EVENT": "2MiB",
        },
    )
    assert (config.log.format, config.gateway.cors.origins, config.redaction, config.processor.max_event) == (
        "json",
        ["https://a"],
        "[",
        2 << 20,
    )


@pytest.mark.parametrize("value", ["no", "off", "on", "yes", "2024-13-45", "*", "@x", "!x", "a: b: c"])
def test_words_in_the_environment_stay_words(tmp_path, value):
    assert good(tmp_path, "", {"EXTPROC_REDACTION": value}).redaction == value
    assert good(tmp_path, "redaction: env:WORD", {"WORD": value}).redaction == value


@pytest.mark.parametrize("name", ["EXTPROC_GATEWAY__PRT", "EXTPROC_NOPE"])
def test_an_override_of_nothing_is_an_error(tmp_path, name):
    assert "unknown key" in problems(tmp_path, "", {name: "1"})[0].message


def test_a_dotenv_beside_the_file_is_read_and_the_environment_wins(tmp_path):
    (tmp_path / ".env").write_text(
        "# comment\nexport A=one\nB = 'two words'\nC=\"x=y\"\n\nno equals sign\nD='\n", "utf-8"
    )
    loaded = load(write(tmp_path, "redaction: env:A\n"), {"B": "mine"})
    assert loaded.config.redaction == "one"
    assert [loaded.environment[name] for name in "ABCD"] == ["one", "mine", "x=y", "'"]


def test_without_a_file_providers_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(None, {"OPENAI_API_KEY": "sk-1", "GROQ_API_KEY": "gsk"}).config
    assert sorted(config.providers) == ["groq", "openai"]
    assert config.providers["groq"].keys == ["env:GROQ_API_KEY"]
    assert load(None, {}).config.providers == {}


def test_no_error_shows_a_secret(tmp_path):
    (found,) = problems(tmp_path, "gateway: {port: env:SECRET}", {"SECRET": "sk-very-secret"})
    assert "sk-very-secret" not in str(found)


def test_what_is_shipped_is_valid(tmp_path):
    tree = shipped()
    assert {"recommended", "audit-all"} <= set(tree["sets"])
    assert all(member in tree["policies"] for members in tree["sets"].values() for member in members)
    for name, value in tree["policies"].items():
        text = f"policies:\n  {name}: {value}\n"
        assert name in good(tmp_path, text).policies


def test_the_shortest_configuration_is_complete(tmp_path):
    config = good(tmp_path, "")
    assert (config.gateway.tls, config.gateway.plain_port, config.processor.workers, config.attach) == (
        "auto",
        8080,
        1,
        None,
    )
    assert good(tmp_path, "gateway: {tls: none, plain_port: null}").gateway.plain_port is None


def test_a_dotenv_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "extproc.yaml"
    path.write_text("version: 1\n")
    (tmp_path / ".env").write_bytes(b"\xff\xfeA=1")
    with pytest.raises(ConfigError, match=r"\.env cannot be read"):
        load(path, {})


@pytest.mark.parametrize("file", [None, "extproc.yaml"])
def test_what_clients_are_told_instead_of_a_key_is_none(tmp_path, monkeypatch, file):
    """``eval "$(extproc env)"`` sets it; a gateway started there would send it to the provider."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, OPENAI, file) if file else None
    loaded = load(path, {"OPENAI_API_KEY": "unused", "GEMINI_API_KEY": "unused", "MY_OWN": "unused"})
    assert loaded.environment == {"MY_OWN": "unused"}
    assert (loaded.config.providers.keys() if path is None else set()) == set()
    if path:
        with pytest.raises(ConfigError) as caught:
            compile_runtime(loaded)
        assert "OPENAI_API_KEY is not set, or to the 'unused' of `extproc env`" in str(caught.value.problems[0])
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-real\nexport GEMINI_API_KEY=unused\n")
    loaded = load(path, {"OPENAI_API_KEY": "unused"})
    assert loaded.environment == {"OPENAI_API_KEY": "sk-real"}
    assert list(loaded.config.providers) == ["openai"]
