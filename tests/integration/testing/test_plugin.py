"""The pytest plugin: its fixtures, the mark `variations`, and what it does not do."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from tests.integration.testing.conftest import Run
from tests.processes import finished


class TestConvert:
    ASKING = """
        def test_checkout(convert):
            assert convert.visitor("v-1").decide("checkout").variation_key == "classic"
            convert.assert_exposed("v-1", "checkout", "classic")

        def test_another(convert):
            convert.assert_nothing_sent()
    """

    def test_it_decides_with_the_configured_project(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        pytester.makepyfile(self.ASKING)
        run().assert_outcomes(passed=2)

    def test_an_option_names_another(self, pytester: pytest.Pytester, shop: Path, run: Run) -> None:
        shop.rename(pytester.path / "other.json")
        pytester.makepyfile(self.ASKING)
        run("--convert-config", "other.json").assert_outcomes(passed=2)

    def test_a_fixture_of_the_applications_own(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makeconftest(
            """
            import pytest
            from convert_sdk.testing import experience, project

            @pytest.fixture
            def convert_project():
                return project(experience("checkout", {"classic": 100}))
            """
        )
        pytester.makepyfile(self.ASKING)
        run().assert_outcomes(passed=2)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (None, "*convert_config: *shop.json cannot be read: No such file or directory"),
            ("[]", "*convert_config: *shop.json is no document of a project: $: expected an object*"),
        ],
    )
    def test_a_file_that_is_no_good(
        self, pytester: pytest.Pytester, shop: Path, run: Run, content: str | None, message: str
    ) -> None:
        shop.unlink()
        if content is not None:
            shop.write_text(content)
        pytester.makepyfile(self.ASKING)
        result = run()
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines([message])

    def test_no_project_at_all(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makepyfile(self.ASKING)
        result = run()
        result.assert_outcomes(errors=2)
        result.stdout.fnmatch_lines(
            ["*there is no project: name the project's JSON document*--convert-config*"]
        )

    def test_a_failure_shows_what_was_recorded_and_no_line_of_ours(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        pytester.makepyfile(
            """
            def test_checkout(convert):
                convert.visitor("v-1").decide("checkout")
                convert.assert_exposed("v-1", "checkout", "one-page")
            """
        )
        result = run()
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(
            [
                "E * visitor 'v-1' was not exposed to checkout / one-page",
                "E * exposures recorded:",
                "E * visitor 'v-1' to checkout / classic",
            ]
        )
        result.stdout.no_fnmatch_line("*recording.py*")

    def test_one_for_asyncio_shares_all_with_it(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @pytest.mark.anyio
            async def test_checkout(convert, convert_async):
                with convert.override("checkout", "one-page"):
                    visitor = await convert_async.visitor("v-1")
                    assert visitor.decide("checkout").variation_key == "one-page"
                convert.assert_nothing_sent()
                visitor.decide("checkout")
                convert.assert_exposed("v-1", "checkout", "classic")
            """
        )
        run().assert_outcomes(passed=1)

    def test_an_override_of_a_fixture_holds_in_an_asynchronous_test(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.fixture
            def anyio_backend():
                return "asyncio"

            @pytest.fixture
            def forced(convert):
                with convert.override("checkout", "one-page"):
                    yield

            @pytest.fixture
            async def awaited(convert):
                with convert.override("banner", "forced"):
                    yield

            @pytest.mark.anyio
            async def test_both(convert, forced, awaited):
                visitor = convert.visitor("v-1")
                assert visitor.decide("checkout").variation_key == "one-page"
                assert visitor.decide("banner").variation_key == "forced"

            def test_afterwards(convert):
                assert convert.visitor("v-1").decide("checkout").variation_key == "classic"
            """
        )
        run().assert_outcomes(passed=2)


class TestVariations:
    def test_once_for_each(self, pytester: pytest.Pytester, shop: Path, run: Run) -> None:
        pytester.makepyfile(
            """
            import pytest

            shown = []

            @pytest.mark.variations("checkout")
            def test_checkout(convert):
                shown.append(convert.visitor("v-1").decide("checkout").variation_key)

            def test_afterwards(convert):
                assert shown == ["classic", "one-page"]
                assert convert.visitor("v-1").decide("checkout").variation_key == "classic"
            """
        )
        result = run("-v")
        result.assert_outcomes(passed=3)
        result.stdout.fnmatch_lines(
            ["*test_checkout?checkout=classic? PASSED*", "*test_checkout?checkout=one-page? PASSED*"]
        )

    def test_the_one_that_fails_is_named(self, pytester: pytest.Pytester, shop: Path, run: Run) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.variations("checkout")
            def test_no_discount(convert):
                assert convert.visitor("v-1").feature("pricing").get("discount", 0.0) == 0.0
            """
        )
        result = run()
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.fnmatch_lines(["FAILED *::test_no_discount?checkout=one-page?*"])

    def test_keys_of_the_marks_own_and_every_combination(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.variations("banner", ["b"])
            class TestBoth:
                @pytest.mark.variations("checkout")
                def test_both(self, convert, convert_variations):
                    visitor = convert.visitor("v-1")
                    found = {key: visitor.decide(key).variation_key for key in convert_variations}
                    assert found == convert_variations
            """
        )
        result = run("-v")
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(
            ["*test_both?banner=b,checkout=classic? *", "*test_both?banner=b,checkout=one-page? *"]
        )

    def test_with_keys_no_project_is_needed_to_collect(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makepyfile(
            """
            import pytest
            from convert_sdk.testing import project

            @pytest.fixture
            def convert_project():
                return project()

            @pytest.mark.variations("next-year", ["a", "b"])
            def test_next_year(convert, convert_variations):
                decision = convert.visitor("v-1").decide("next-year")
                assert decision.variation_key == convert_variations["next-year"]
            """
        )
        run().assert_outcomes(passed=2)

    def test_they_are_overridden_before_other_fixtures_ask(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.fixture
            def page(convert):
                return convert.visitor("v-1").decide("checkout").variation_key

            @pytest.mark.variations("checkout", ["one-page"])
            def test_page(page):
                assert page == "one-page"
            """
        )
        run().assert_outcomes(passed=1)

    def test_in_other_threads_too(self, pytester: pytest.Pytester, shop: Path, run: Run) -> None:
        pytester.makepyfile(
            """
            import pytest
            from concurrent.futures import ThreadPoolExecutor

            @pytest.mark.variations("checkout", ["one-page"])
            def test_page(convert):
                with ThreadPoolExecutor(1) as pool:
                    asked = pool.submit(lambda: convert.visitor("v-1").decide("checkout").variation_key)
                    assert asked.result() == "one-page"
            """
        )
        run().assert_outcomes(passed=1)

    def test_without_the_mark_there_are_none(self, pytester: pytest.Pytester, shop: Path, run: Run) -> None:
        pytester.makepyfile("def test_none(convert_variations):\n    assert convert_variations == {}\n")
        run().assert_outcomes(passed=1)

    MISTAKES: ClassVar = {
        '"chekout"': "variations('chekout'): the project has no such experience; did you mean checkout?",
        '"checkout", ["one-pag"]': "variations('checkout'): there is no variation 'one-pag'; did you mean one-page?",
        '"empty"': "variations('empty'): the experience has no variations",
        '"checkout", "classic"': "variations('checkout'): the keys must be a list of texts",
        '"checkout", []': "variations('checkout'): the keys must be a list of texts",
        '"checkout", [5]': "variations('checkout'): the keys must be a list of texts",
        "": 'the mark is variations("checkout") or variations("checkout", *',
        '"checkout", ["classic"], 5': 'the mark is variations("checkout") or variations("checkout", *',
        '"checkout", variation="b"': 'the mark is variations("checkout") or variations("checkout", *',
    }

    def test_a_mistake_is_an_error_of_the_collection(
        self, pytester: pytest.Pytester, shop: Path, run: Run
    ) -> None:
        for number, arguments in enumerate(self.MISTAKES):
            mark = f"@pytest.mark.variations({arguments})"
            source = f"import pytest\n{mark}\ndef test_it(convert):\n    pass\n"
            pytester.makepyfile(**{f"test_mistake_{number}": source})
        result = run("--continue-on-collection-errors")
        result.assert_outcomes(errors=len(self.MISTAKES))
        result.stdout.fnmatch_lines([*self.MISTAKES.values()])

    def test_where_it_does_nothing_it_fails(self, pytester: pytest.Pytester, shop: Path, run: Run) -> None:
        pytester.makepyfile(
            """
            import pytest
            from unittest import TestCase

            class TestShop(TestCase):
                @pytest.mark.variations("checkout")
                def test_checkout(self):
                    pass

                def test_another(self):
                    pass

            @pytest.mark.variations("checkout")
            class TestWhole(TestCase):
                def test_checkout(self):
                    pass

            @pytest.mark.parametrize("each", [pytest.param(1, marks=pytest.mark.variations("checkout")), 2])
            def test_a_parameter(each):
                pass
            """
        )
        result = run()
        result.assert_outcomes(passed=2, errors=3)
        result.stdout.fnmatch_lines(
            ["the mark variations('checkout') does nothing here: *, not of unittest.TestCase*"]
        )

    def test_without_project_and_keys(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.variations("checkout")
            def test_it(convert):
                pass
            """
        )
        result = run()
        result.assert_outcomes(errors=1)
        result.stdout.fnmatch_lines(["variations('checkout') needs the project: *, or give the keys"])


class TestForbiddenNetwork:
    def test_who_reaches_for_it_fails(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makepyfile(
            """
            import socket

            def test_it(convert_forbid_network):
                try:
                    socket.create_connection(("192.0.2.1", 443))
                except OSError:
                    pass
            """
        )
        result = run()
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(
            ["the test reached for the network: 192.0.2.1, port 443, in the thread MainThread"]
        )

    def test_a_client_that_nobody_replaced_is_found(self, pytester: pytest.Pytester, run: Run) -> None:
        """Its thread would have failed in silence."""
        pytester.makepyfile(
            """
            from convert_sdk import Client

            def test_it(convert_forbid_network):
                client = Client("1/2", start_wait=120)  # until the thread has tried
                client.visitor("v-1").decide("checkout")
                client.close(0)
            """
        )
        result = run()
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(
            [
                "*network: cdn-4.convertexperiments.com, port 443, in the thread convert_sdk-*",
                "replace the client: *",
            ]
        )

    def test_this_machine_can_be_reached(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makepyfile(
            """
            import asyncio
            import socket

            def test_it(convert_forbid_network):
                with socket.create_server(("127.0.0.1", 0)) as server:
                    port = server.getsockname()[1]
                    socket.create_connection(("localhost", port)).close()
                    with socket.socket() as other:
                        assert other.connect_ex(("127.0.0.1", port)) == 0
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                    udp.sendto(b"x", ("127.0.0.1", 9))
                ours, theirs = socket.socketpair()
                ours.close(), theirs.close()

            def test_asyncio(convert_forbid_network):
                async def main():
                    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
                    port = server.sockets[0].getsockname()[1]
                    _, writer = await asyncio.open_connection("localhost", port)
                    writer.close()
                    server.close()
                asyncio.run(main())
            """
        )
        run().assert_outcomes(passed=2)


def test_the_plugin_alone_imports_nothing_of_the_package(tmp_path: Path) -> None:
    """So that a suite which measures its coverage of the package sees all of it."""
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert 'convert_sdk_pytest' in sys.modules\n"
        "    assert 'convert_sdk' not in sys.modules\n"
    )
    script = (
        "import pytest, sys\n"
        f"sys.exit(pytest.main(['-q', '-p', 'convert_sdk_pytest', '--rootdir', {str(tmp_path)!r}, {str(tmp_path)!r}]))"
    )
    status, out, _ = finished(script)
    assert (status, "1 passed" in out) == (0, True), out


class TestFailedAssertion:
    ASKING = """
        from convert_sdk import matches
        from convert_sdk.testing import attr, audience, project

        adults = project(audience("adults", attr("age") >= 18))

        def holds(facts):
            assert (
                adults.audience("adults").matches({**facts, "plan": "pro"})
            ), "of age"

        def test_an_audience():
            for age in 18, 17:
                holds({"age": age})

        def test_an_expression():
            rule = attr("plan") == "pro"
            assert not rule.matches({"plan": "pro"})

        def test_a_rule_set_of_the_wire():
            rules = (attr("plan") == "free").to_wire()
            assert matches(rules, {"plan": "pro"}) is True
    """

    def test_the_rules_that_it_asked_are_explained(self, pytester: pytest.Pytester, run: Run) -> None:
        pytester.makepyfile(self.ASKING)
        result = run()
        result.assert_outcomes(failed=3)
        result.stdout.fnmatch_lines(
            [
                "*- the rules that were asked -*",
                "NO  audience adults",
                "    NO  age not less 18, the visitor has 17",
                "*- the rules that were asked -*",
                "yes rule set",
                '    yes plan equals "pro", the visitor has "pro"',
                "*- the rules that were asked -*",
                "NO  rule set",
                '    NO  plan equals "free", the visitor has "pro"',
            ],
        )

    def test_nothing_is_called_a_second_time_and_others_are_left_alone(
        self, pytester: pytest.Pytester, run: Run
    ) -> None:
        pytester.makepyfile(
            """
            from convert_sdk.testing import attr

            calls = []

            def facts():
                calls.append(1)
                return {"plan": "free"}

            def test_a_call():
                rule = attr("plan") == "pro"
                assert rule.matches(facts())

            def test_there_was_one():
                assert calls == []

            def test_another_kind_of_error():
                assert attr("plan").matches(undefined)

            def test_no_source():
                exec("assert False")
            """
        )
        result = run()
        result.assert_outcomes(failed=4)
        result.stdout.no_fnmatch_line("*the rules that were asked*")
        result.stdout.fnmatch_lines(["*assert ?1? == ??*"])
