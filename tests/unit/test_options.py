from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert_sdk import Client, MemoryStore, OptionError
from convert_sdk._urls import host_of, is_loopback
from convert_sdk.options import OPTIONS, Options, build


def refusal(given: dict[str, object], variables: dict[str, str] | None = None) -> str:
    with pytest.raises(OptionError) as caught:
        build(given, variables or {})
    return str(caught.value)


class TestSources:
    def test_nothing_given_is_the_defaults(self) -> None:
        assert build({}, {}) == Options()

    def test_an_argument_wins_over_its_variable(self) -> None:
        variables = {"CONVERT_SDK_KEY": "from/variable", "CONVERT_ENVIRONMENT": "qa"}
        options = build({"sdk_key": "from/argument"}, variables)
        assert (options.sdk_key, options.environment) == ("from/argument", "qa")

    def test_none_leaves_it_to_the_variable(self) -> None:
        assert build({"sdk_key": None}, {"CONVERT_SDK_KEY": "1/2"}).sdk_key == "1/2"

    def test_an_empty_variable_is_not_set(self) -> None:
        assert build({}, {"CONVERT_SDK_KEY": ""}).sdk_key is None

    @pytest.mark.parametrize(
        ("text", "on"), [("0", False), ("false", False), (" OFF ", False), ("yes", True)]
    )
    def test_tracking_is_a_switch(self, text: str, on: bool) -> None:
        assert build({}, {"CONVERT_TRACKING": text}).tracking is on

    def test_a_switch_that_is_none_names_the_variable(self) -> None:
        message = refusal({}, {"CONVERT_TRACKING": "perhaps"})
        assert message.startswith("CONVERT_TRACKING must be one of 1, true, yes, on")

    @pytest.mark.parametrize("name", ["CONFIG_ENDPOINT", "TRACK_ENDPOINT"])
    def test_endpoints_have_variables(self, name: str) -> None:
        options = build({}, {f"CONVERT_{name}": "https://convert.example/"})
        assert getattr(options, name.lower()) == "https://convert.example/"

    def test_the_process_is_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONVERT_SDK_KEY", "1/2")
        assert build({}).sdk_key == "1/2"


class TestWithoutTheEnvironment:
    def test_no_variable_is_read(self) -> None:
        variables = {option.variable: "nonsense" for option in OPTIONS.values() if option.variable}
        assert build({"trust_env": False}, variables) == Options(trust_env=False)
        assert build({"trust_env": False, "sdk_key": "1/2"}, {"CONVERT_SDK_KEY": "3/4"}).sdk_key == "1/2"

    @pytest.mark.parametrize("wrong", [None, 0, "no"])
    def test_it_is_a_switch(self, wrong: object) -> None:
        assert refusal({"trust_env": wrong}).startswith("trust_env must be True or False")


class TestRefusals:
    def test_an_unknown_name_is_told_its_neighbour(self) -> None:
        assert refusal({"enviroment": "qa"}) == "enviroment is no option; did you mean environment?"
        assert refusal({"xyzzy": 1}) == "xyzzy is no option"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("sdk_key", " "),
            ("sdk_key", 5),
            ("environment", ""),
            ("config_endpoint", "cdn.example"),
            ("cache", "high"),
            ("cache", []),
            ("refresh_interval", 0),
            ("refresh_interval", nan),
            ("refresh_interval", inf),
            ("refresh_interval", "300"),
            ("start_wait", -1),
            ("request_timeout", True),
            ("tracking", None),
            ("tracking", 1),
            ("enrich_data", "yes"),
            ("source", ""),
            ("store", object()),
            ("max_visitors", 0),
            ("batch_size", 1.5),
            ("max_queue", True),
            ("delivery", "exactly_once"),
            ("spool", ""),
            ("durability", "both"),
            ("cache_dir", 5),
            ("allow_http", None),
            ("proxy", "proxy.example:3128"),
            ("transport", object()),
            ("observe", "print"),
            pytest.param("hash_seed", 10**5000, id="hash_seed-long"),
            pytest.param("start_wait", -(10**5000), id="start_wait-long"),
            ("batch_size", [0] * 1000),
            ("request_timeout", 10**400),
            ("start_wait", 1e300),
            ("max_queue", 10**30),
            ("hash_seed", 1.5),
            ("max_traffic", 0),
            ("exclude_experience_id", None),
        ],
    )
    def test_a_bad_value_names_its_option(self, name: str, value: object) -> None:
        assert refusal({name: value}).startswith(f"{name} must be ")

    @pytest.mark.parametrize("name", ["sdk_secret", "debug_token", "proxy"])
    def test_a_secret_is_not_repeated(self, name: str) -> None:
        assert "hunter2" not in refusal({name: ["hunter2"]})

    def test_sync_needs_a_spool(self) -> None:
        assert refusal({"durability": "sync"}) == 'durability="sync" needs a spool: give a folder as spool='

    @pytest.mark.parametrize("name", ["config_endpoint", "track_endpoint"])
    def test_plain_http_is_for_this_machine(self, name: str) -> None:
        assert name in refusal({name: "http://cdn.example/"})
        assert build({name: "http://cdn.example/", "allow_http": True}, {})

    @pytest.mark.parametrize(
        "host", ["localhost", "localhost:80", "127.0.0.1:8088", "[::1]", "[::1]:8088", "me:pw@localhost:80"]
    )
    def test_this_machine_has_several_names(self, host: str) -> None:
        assert build({"config_endpoint": f"http://{host}/"}, {})

    @pytest.mark.parametrize(
        "host", ["localhost.example", "localhost@cdn.example", "[::2]", "127.0.0.1.example:80"]
    )
    def test_lookalikes_are_other_machines(self, host: str) -> None:
        assert "must be https:// beyond this machine" in refusal({"config_endpoint": f"http://{host}/"})

    @pytest.mark.parametrize("end", ["?@127.0.0.1", "#@127.0.0.1", "\\@127.0.0.1"])
    def test_a_host_ends_where_the_library_says(self, end: str) -> None:
        assert not is_loopback(f"http://evil.example{end}")
        assert "config_endpoint must be" in refusal({"config_endpoint": f"http://evil.example{end}"})

    @given(st.text(st.sampled_from("a.1:@/[]?#%\\-~"), max_size=20))
    def test_a_host_is_the_one_that_a_request_goes_to(self, rest: str) -> None:
        found = host_of(f"http://{rest}")
        if found is not None:
            try:
                reached = httpx.URL(f"http://{rest}").host
            except httpx.InvalidURL:
                return  # nothing is sent
            assert reached == found

    def test_a_client_says_so_at_once(self) -> None:
        wrong: Any = {"batch_size": 0}
        with pytest.raises(ValueError, match="batch_size must be a whole number above 0, not 0"):
            Client("1/2", **wrong)

    def test_a_client_needs_a_key(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CONVERT_SDK_KEY", raising=False)
        with pytest.raises(OptionError, match="an SDK key is needed"):
            Client()


class TestDerived:
    def test_bucketing_is_the_references(self) -> None:
        assert Options().bucketing == (9999, 10_000, False)

    @pytest.mark.parametrize(("seed", "used"), [(0, 9999), (1, 1), (-1, 2**32 - 1), (2**32 + 5, 5)])
    def test_a_seed_is_32_bits_wide(self, seed: int, used: int) -> None:
        assert Options(hash_seed=seed).bucketing.seed == used

    @pytest.mark.parametrize(
        ("options", "enriches"),
        [
            (Options(), True),
            (Options(store=MemoryStore()), True),
            (Options(store=MemoryStore(shared=True)), False),
            (Options(store=MemoryStore(shared=True), enrich_data=True), True),
            (Options(enrich_data=False), False),
        ],
    )
    def test_who_shares_a_store_enriches_nothing(self, options: Options, enriches: bool) -> None:
        assert options.enriches is enriches


def test_the_repr_shows_what_was_changed_and_no_secret() -> None:
    options = Options(
        sdk_key="1/hunter2",
        sdk_secret="hunter2",
        debug_token="hunter2",
        proxy="http://a:hunter2@b",
        batch_size=5,
    )
    assert repr(options) == "Options(batch_size=5)"


class TestWhatGoesIntoRequests:
    @pytest.mark.parametrize("key", ["1/2?x=1", "1/2#x", "1/2\0", ""])
    def test_a_key_is_part_of_an_address(self, key: str) -> None:
        with pytest.raises(
            OptionError,
            match=r"sdk_key (must be an SDK key such as .*: letters, digits|has a character in it)",
        ):
            build({"sdk_key": key}, {})

    @pytest.mark.parametrize("secret", ["s\u00e9cret", "s3cret\0"])
    def test_secrets_are_headers_and_are_not_shown(self, secret: str) -> None:
        for name in ("sdk_secret", "debug_token"):
            with pytest.raises(
                OptionError, match=f"{name} (must be .*visible ASCII|has a .*nobody sees)"
            ) as caught:
                build({name: secret}, {})
            assert secret not in str(caught.value)

    @pytest.mark.parametrize(
        ("value", "flaw"),
        [
            ('"hunter2"', "has quotes around it: leave them out"),
            ("'hunter2'", "has quotes around it"),
            ("\u201chunter2\u201d", "has quotes around it"),
            ("hunter2'", "has quotes around it"),
            ("\ufeffhunter2", "begins with a byte order mark"),
            ("hunter2\ufeff", "ends with a byte order mark"),
            ("hunter2\ufeff\n", "ends with a byte order mark"),
            ("hunter\u200b2", "has a character in it that nobody sees (U+200B)"),
            ("hunter2\u2060", "has a character in it that nobody sees (U+2060)"),
            ("hunter2\x7f", "has a character in it that nobody sees (U+007F)"),
            ("\x1bhunter2", "has a character in it that nobody sees (U+001B)"),
            ("$HUNTER2", "has a placeholder"),
            ("%hunter2%", "has a placeholder"),
            ("<hunter2>", "has a placeholder"),
            ("{hunter2}", "has a placeholder"),
            ("${hunter2}", "has a placeholder such as ${NAME} in it"),
            ("$(hunter2)", "has a placeholder"),
            ("{{ hunter2 }}", "has a placeholder"),
            ("hunter2 ", "has white space in it"),
            ("hunter2\n", "has white space in it"),
            ("\u00a0hunter2", "has white space in it"),
            ("hunter2\udc80", "has bytes in it that are not UTF-8"),
        ],
    )
    @pytest.mark.parametrize("name", ["sdk_key", "sdk_secret", "debug_token", "proxy"])
    def test_usual_mistakes_are_named_and_secrets_are_not(self, name: str, value: str, flaw: str) -> None:
        message = refusal({name: value})
        assert message.startswith(f"{name} {flaw}")
        assert "hunter2" not in message

    @pytest.mark.parametrize("value", ["$hunter2", "hunter$2", "<hunter2", "{hun}{ter2}", "100%"])
    def test_a_secret_may_have_signs_in_it(self, value: str) -> None:
        assert build({"sdk_secret": value}, {}).sdk_secret == value

    @pytest.mark.parametrize("key", ["10035569/10034190", "k", "1/2/3", "my-key_1.2~x", "a.b", "1.2"])
    def test_keys_that_can_be_right(self, key: str) -> None:
        assert build({"sdk_key": key}, {}).sdk_key == key

    @pytest.mark.parametrize(
        ("key", "flaw"),
        [
            ("a//b", "has a part without a name in it"),
            ("/1/2", "has a part without a name in it"),
            ("1/2/", "has a part without a name in it"),
            ("../..", "has a part without a name in it"),
            ("1/../2", "has a part without a name in it"),
            (".", "has a part without a name in it"),
            ("cdn.example.com/config/1/2", "is a URL without its beginning"),
            ("cdn.example.com/1", "is a URL without its beginning"),
            ("localhost:8088/1/2", "is a URL without its beginning"),
            ("localhost/api/v1/config/1/2", "is a URL without its beginning"),
            ("config/1/2", "is a URL without its beginning"),
            ("1\\2", "must be an SDK key such as"),
            ("1:2", "must be an SDK key such as"),
            ("1/%32", "must be an SDK key such as"),
            ("b\u00fccher", "must be an SDK key such as"),
            ("CONVERT_SDK_KEY=1/2", "must be an SDK key such as"),
            ("1" * 257, "must be an SDK key such as"),
            ("None", "is the word None: what it was to come from is not set"),
            ("undefined", "is the word undefined"),
            ("1/\uff12", "must be an SDK key such as"),
        ],
    )
    def test_keys_that_cannot_be_right(self, key: str, flaw: str) -> None:
        assert refusal({"sdk_key": key}).startswith(f"sdk_key {flaw}")

    @pytest.mark.parametrize("name", ["environment", "source"])
    @pytest.mark.parametrize("value", ["qa\n", "q\ta", "qa\u200b", "$ENVIRONMENT", "<environment>"])
    def test_other_texts_are_held_to_the_same(self, name: str, value: str) -> None:
        assert refusal({name: value}).startswith(f"{name} has ")
        assert build({name: "Q A \u00e9"}, {})

    @pytest.mark.parametrize("name", ["spool", "cache_dir", "ca_bundle"])
    @pytest.mark.parametrize(
        ("value", "flaw"),
        [
            ('"/var/x"', "has quotes around it"),
            ("\ufeff/var/x", "begins with a byte order mark"),
            ("$HOME/x", "has a placeholder"),
            ("%TEMP%", "has a placeholder"),
            ("${HOME}/x", "has a placeholder"),
            ("/var/\0x", "has a character in it that nobody sees (U+0000)"),
            ("~nobody-of-this-name/x", "begins with ~nobody-of-this-name, the home folder of nobody"),
        ],
    )
    def test_a_path_is_no_mistake_either(self, name: str, value: str, flaw: str) -> None:
        assert refusal({name: value}).startswith(f"{name} {flaw}")

    def test_a_path_may_have_any_other_character(self, tmp_path: Path) -> None:
        odd = str(tmp_path / "a b\t\udc80$x")
        assert build({"spool": odd, "cache_dir": Path(odd)}, {}).spool == odd

    def test_a_token_may_have_spaces_within(self) -> None:
        assert build({"debug_token": "two words"}, {}).debug_token == "two words"

    def test_a_whole_url_is_no_key(self) -> None:
        url = "https://cdn-4.convertexperiments.com/api/v1/config/10035569/10034190"
        assert refusal({"sdk_key": url}).startswith("sdk_key is a whole URL: give the key alone")

    @pytest.mark.parametrize("name", ["config_endpoint", "track_endpoint"])
    @pytest.mark.parametrize(
        "value",
        [
            '"https://convert.example/"',
            "\ufeffhttps://convert.example/",
            "${ENDPOINT}",
            "https://${HOST}/",
            "https://convert.example/ ",
            "https://con vert.example/",
            "https://convert.example/\udc80",
            "https://convert.example/?a=b",
            "https://convert.example/#a",
            "https://convert.example:70000/",
            "https://convert.example:port/",
            "https://[::1/",
            "https://",
            "https://:443/",
            "https://convert.example\\@127.0.0.1/",
            "ftp://convert.example/",
        ],
    )
    def test_an_endpoint_is_a_url_that_cannot_be_right(self, name: str, value: str) -> None:
        assert refusal({name: value}).startswith(f"{name} ")

    @pytest.mark.parametrize("name", ["config_endpoint", "track_endpoint", "proxy"])
    @pytest.mark.parametrize(
        ("host", "flaw"),
        [
            ("..", "must have a host that can exist"),
            ("x..com", "must have a host that can exist"),
            (".example.com", "must have a host that can exist"),
            ("$HOST", "must have a host that can exist"),
            ("%HOST%", "must have a host that can exist"),
            ("ex*mple.com", "must have a host that can exist"),
            ("convert.example..", "must have a host that can exist"),
            ("a" * 64 + ".example", "must have a host that can exist"),
            (".".join(["a" * 60] * 5), "must have a host that can exist"),
            ("256.1.1.1", "must have a host that can exist"),
            ("1.2.3", "must have a host that can exist"),
            ("b\u2603\u2603.example", "must have a host that can exist"),
            ("-.example", "must have a host that can exist"),
            ("a-.example", "must have a host that can exist"),
            ("[::1", "must have a host that can be read"),
            ("[zz]", "must have a host that can be read"),
            ("me:hunter2@", "must have a host, as in https://"),
            (":443", "must have a host, as in https://"),
            ("convert.example:70000", "must have a port from 1 to 65535"),
            ("convert.example:0", "must have a port from 1 to 65535"),
            ("convert.example:-1", "must have a port from 1 to 65535"),
            ("convert.example:port", "must have a port from 1 to 65535"),
            ("me:hunter2@convert.example:port", "must have a port from 1 to 65535"),
        ],
    )
    def test_a_host_and_a_port_that_cannot_be(self, name: str, host: str, flaw: str) -> None:
        message = refusal({name: f"https://{host}"})
        assert message.startswith(f"{name} {flaw}")
        assert "hunter2" not in message

    @pytest.mark.parametrize(
        "host",
        [
            "convert.example.",
            "x_y.example:8443",
            "b\u00fccher.example",
            "xn--bcher-kva.example",
            "[2001:db8::1]:443",
            "10.0.0.1",
            "collector",
            "[project_id].metrics.example",
        ],
    )
    def test_hosts_that_can_be(self, host: str) -> None:
        for url in (f"https://{host}/v1", f"HTTPS://{host}"):
            assert build({"track_endpoint": url}, {}).track_endpoint == url

    def test_capitals_are_no_way_past_https(self) -> None:
        assert "must be https:// beyond this machine" in refusal({"config_endpoint": "HTTP://cdn.example/"})

    def test_an_error_names_the_variable(self) -> None:
        message = refusal({}, {"CONVERT_SDK_KEY": '"1/2"'})
        assert message.startswith("sdk_key (from CONVERT_SDK_KEY) has quotes around it")
        assert refusal({"sdk_key": "'1/2'"}, {"CONVERT_SDK_KEY": "1/2"}).startswith("sdk_key has quotes")

    @pytest.mark.parametrize(
        "url", ["https://me:hunter2@convert.example/", "https://hunter2@convert.example"]
    )
    @pytest.mark.parametrize("name", ["config_endpoint", "track_endpoint"])
    def test_credentials_in_an_endpoint_are_masked(self, name: str, url: str) -> None:
        options = build({name: url}, {})
        assert getattr(options, name) == url
        assert "hunter2" not in repr(options)
        assert "***@convert.example" in repr(options)
        assert "hunter2" not in refusal({name: f"{url}?a=b"})

    @pytest.mark.parametrize(
        "url",
        [
            "https://me:hunter2/1@convert.example",
            "https://me:hunter2?@convert.example",
            "me:hunter2@convert.example",
            "//me:hunter2@convert.example",
            "https://convert.example?token=hunter2",
        ],
    )
    def test_a_url_that_is_wrong_shows_no_password(self, url: str) -> None:
        assert "hunter2" not in refusal({"config_endpoint": url})

    def test_a_variable_may_end_with_a_line_break(self) -> None:
        options = build({}, {"CONVERT_SDK_KEY": "1/2\n", "CONVERT_SDK_SECRET": " s3cret\n"})
        assert (options.sdk_key, options.sdk_secret) == ("1/2", "s3cret")

    def test_a_store_has_all_that_is_asked_of_it(self) -> None:
        class Half:
            def load(self, key: str) -> None: ...

        with pytest.raises(OptionError, match="something with load, save and shared"):
            build({"store": Half()}, {})
