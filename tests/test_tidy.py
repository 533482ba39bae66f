"""The house rules applied to this repository, and each rule tried on sample text."""

from pathlib import Path

from pipeline.cli.pages import PAGES as GENERATED
from tests import house_rules as rules
from tests import scorecard
from tests.faults import page as faults_page

ROOT = Path(__file__).parents[1]
CODE = rules.sources(ROOT, "pipeline", "topologies")
TESTS = rules.sources(ROOT, "tests")
PAGES = {p.relative_to(ROOT).as_posix(): p.read_text() for p in rules.files(ROOT) if p.suffix == ".md"}
BINARY = frozenset({".png", ".gzip", ".zstd"})


def require_none(complaints: list[str]) -> None:
    """Fail with the complaints, one a line."""
    assert not complaints, "\n".join(complaints)


def function_of(lines: int) -> str:
    """Return the text of a function with so many lines."""
    return "def f():\n" + "    pass\n" * (lines - 1)


class TestThisRepository:
    """Every rule holds here."""

    def test_functions_are_short(self) -> None:
        """No function is over the limit, and most are far below it."""
        require_none(rules.long_functions(CODE | TESTS) + rules.long_functions_as_a_rule(CODE))

    def test_modules_are_short(self) -> None:
        """No module is over the limit."""
        require_none(rules.long_modules(CODE | TESTS))

    def test_modules_are_named_by_what_they_do(self) -> None:
        """No module or folder is a drawer for anything."""
        require_none(rules.vague_names(CODE))

    def test_the_way_of_a_change_names_every_module(self) -> None:
        """docs/reference/modules.md names every module that exists and none that does not."""
        require_none(rules.modules_and_page(CODE, PAGES["docs/reference/modules.md"]))

    def test_every_page_has_one_title(self) -> None:
        """A Markdown page opens with its only first-level heading."""
        require_none([complaint for path, page in PAGES.items() for complaint in rules.titles(path, page)])

    def test_every_test_says_what_it_promises(self) -> None:
        """Tests, and those the kit gives to authors, carry one docstring line."""
        kit = {path: text for path, text in CODE.items() if path.startswith("pipeline/testing/")}
        require_none(rules.tests_without_promise(TESTS | kit))

    def test_every_error_is_raised_and_tested(self) -> None:
        """An error class exists because some code raises it and some test knows it."""
        errors = "pipeline/model/errors.py"
        others = {path: text for path, text in CODE.items() if path != errors and "/testing/" not in path}
        require_none(rules.idle_errors(rules.error_names(CODE[errors]), others, TESTS))

    def test_nothing_is_marked_as_unfinished(self) -> None:
        """What is not done is in no file as a note."""
        texts = {p: p.read_text() for p in rules.files(ROOT) if p.suffix not in BINARY}
        found = [c for p, text in texts.items() for c in rules.unfinished(p.relative_to(ROOT).as_posix(), text)]
        require_none(found)

    def test_no_run_is_counted_twice(self) -> None:
        """The ledgers, which the scorecard adds up, have no row twice."""
        ledgers = {path: page for path, page in PAGES.items() if path in (scorecard.WORLDS, scorecard.PROCESSES)}
        assert len(ledgers) == 2
        require_none([complaint for path, page in ledgers.items() for complaint in rules.repeated_rows(path, page)])

    def test_every_silenced_line_says_why(self) -> None:
        """Where a checker is told to look away, the reason stands beside it."""
        require_none(rules.silenced_without_reason(CODE | TESTS))

    def test_no_file_is_large(self) -> None:
        """The repository holds text that people wrote, and locks."""
        require_none(rules.large_files({p.relative_to(ROOT).as_posix(): p.stat().st_size for p in rules.files(ROOT)}))

    def test_every_topology_keeps_the_contract(self) -> None:
        """Each topology has its SinkContract test."""
        names = [Path(path).stem for path in CODE if path.startswith("topologies/") and "__init__" not in path]
        require_none(rules.topologies_without_contract(names, TESTS))

    def test_the_changelog_keeps_its_form(self) -> None:
        """CHANGELOG.md can be read by people and tools that know Keep a Changelog."""
        require_none(rules.changelog(PAGES["CHANGELOG.md"]))

    def test_generated_pages_are_fresh(self) -> None:
        """Every page under docs/reference/ is what its generator makes now."""
        reference = {path: page for path, page in PAGES.items() if path.startswith("docs/reference/")}
        require_none(rules.stale_pages(reference, {path: make() for path, make in GENERATED.items()}))

    def test_the_page_of_faults_is_fresh(self) -> None:
        """docs/faults.md lists each fault with the tests that inject it: `python -m tests.faults.page` writes it."""
        require_none(
            rules.stale_pages({faults_page.PATH: PAGES[faults_page.PATH]}, {faults_page.PATH: faults_page.page()})
        )

    def test_the_scorecard_agrees_with_the_ledgers(self) -> None:
        """docs/scorecard.md is the sum of the ledgers' rows: `python -m tests.scorecard` writes it."""
        require_none(
            rules.stale_pages({scorecard.PATH: PAGES.get(scorecard.PATH, "")}, {scorecard.PATH: scorecard.page()})
        )

    def test_the_image_gets_what_is_tested(self) -> None:
        """Every version locked for the image is the version locked for the tests."""
        run, full = ((ROOT / name).read_text() for name in ("requirements-run.lock", "requirements.lock"))
        require_none(rules.unlocked(run, full))


class TestRules:
    """Each rule finds what it is for and leaves the rest alone."""

    def test_long_functions(self) -> None:
        """Sixty lines pass, sixty-one do not."""
        assert rules.long_functions({"a.py": function_of(60)}) == []
        assert "a.py:1 f has 61 lines" in rules.long_functions({"a.py": function_of(61)})[0]

    def test_long_functions_as_a_rule(self) -> None:
        """One long function in eleven passes, two in eleven do not, and none at all passes."""
        short, long = function_of(10), function_of(40)
        assert rules.long_functions_as_a_rule({}) == []
        assert rules.long_functions_as_a_rule({"a.py": short * 10 + long}) == []
        assert "40 lines" in rules.long_functions_as_a_rule({"a.py": short * 9 + long * 2})[0]

    def test_long_modules(self) -> None:
        """Three hundred lines pass, one more does not."""
        assert rules.long_modules({"a.py": "x\n" * 300}) == []
        assert rules.long_modules({"a.py": "x\n" * 301}) == ["a.py has 301 lines, 300 are allowed"]

    def test_vague_names(self) -> None:
        """A vague word counts as a name, as part of a name and as a folder, not inside a word."""
        assert rules.vague_names(["pipeline/capture/lineage.py"]) == []
        assert rules.vague_names(["pipeline/utilities_of_life.py", "pipeline/uncommon.py"]) == []
        bad = ["pipeline/utils.py", "pipeline/lease_manager.py", "pipeline/common/lane.py"]
        assert len(rules.vague_names(bad)) == len(bad)

    def test_modules_and_page(self) -> None:
        """A module without a name and a name without a module are found; packages need no name."""
        page = "`pipeline/ports.py` and `topologies/gone.py`"
        modules = ["pipeline/__init__.py", "pipeline/ports.py", "pipeline/new.py"]
        unnamed, missing = rules.modules_and_page(modules, page)
        assert unnamed.startswith("pipeline/new.py is named in no doc")
        assert missing == "docs/reference/modules.md names topologies/gone.py, which does not exist"

    def test_titles(self) -> None:
        """No title, a late one and two are found; a comment in a code block is no title."""
        assert rules.titles("a.md", "# A\n\n## B\n```sh\n# not a title\n```\n") == []
        assert all(rules.titles("a.md", page) for page in ("", "text\n# A\n", "# A\n# B\n"))

    def test_tests_without_promise(self) -> None:
        """Only test functions are asked, and only one line will do."""
        page = 'def test_a():\n    """One."""\ndef other():\n    pass\n'
        assert rules.tests_without_promise({"t.py": page}) == []
        assert rules.tests_without_promise({"t.py": "def test_a():\n    pass\n"})
        assert rules.tests_without_promise({"t.py": 'async def test_a():\n    """One.\n\n    Two."""\n'})

    def test_idle_errors(self) -> None:
        """An error counts as used when it is made, and as tested when a test says its name; the root need not be."""
        names = rules.error_names("class Root(Exception): ...\nclass Lost(Root): ...\nclass Late(Root): ...\n")
        assert names == ["Lost", "Late"]
        code, tests = {"a.py": "raise Lost('x') from None\n"}, {"t.py": "with raises(Late): ..."}
        assert rules.idle_errors(names, code, tests) == [
            "Late is never raised: remove it, or raise it",
            "Lost is named in no test",
        ]

    def test_unfinished(self) -> None:
        """The word is found with its line; a word that contains it is not."""
        word = "TO" + "DO"
        assert rules.unfinished("a.py", f"x = 1\n# {word}: more\n") == [f"a.py:2 says {word}: finish it"]
        assert rules.unfinished("a.py", f"my{word}s\n") == []

    def test_repeated_rows(self) -> None:
        """A row that differs in its verdict alone is the same run; headings and another seed are not."""
        page = "| seed | verdict |\n|---|---|\n| 1 | a | sound |\n| 2 | a | sound |\n"
        assert rules.repeated_rows("l.md", page) == []
        assert rules.repeated_rows("l.md", page + "| 1 | a | **broken** |\n") == ["l.md has a row 2 times: | 1 | a "]

    def test_silenced_without_reason(self) -> None:
        """A reason after the mark passes; the bare mark is found."""
        for mark in ("no" + "qa: S104", "type: " + "ignore[misc]"):
            assert rules.silenced_without_reason({"a.py": f"x = 1  # {mark}  # it is a sample"}) == []
            assert rules.silenced_without_reason({"a.py": f"\nx = 1  # {mark}"}) == [
                "a.py:2 silences a checker: say why"
            ]

    def test_large_files(self) -> None:
        """Locks may be large, nothing else may."""
        assert rules.large_files({"a.lock": 10**6, "a.py": rules.FILE_BYTES_MAX}) == []
        assert rules.large_files({"a.bin": rules.FILE_BYTES_MAX + 1})

    def test_topologies_without_contract(self) -> None:
        """A test file is not enough: it needs a class derived from the contract that makes this topology's sink."""
        path = "tests/topologies/test_sinks.py"
        kept = "class TestFolder(SinkContract):\n    sink = folder.topology.sink\n"
        assert rules.topologies_without_contract(["folder"], {path: kept}) == []
        assert rules.topologies_without_contract(["folder"], {path: kept.replace("(SinkContract)", "")})
        assert rules.topologies_without_contract(["audit"], {path: kept})
        assert rules.topologies_without_contract(["folder"], {"tests/unit/test_sinks.py": kept})

    def test_changelog(self) -> None:
        """Order, headings, groups and empty groups are looked at."""
        good = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A.\n\n## [0.1.0] - 2026-12-01\n\n### Fixed\n\n- B.\n"
        assert rules.changelog(good) == []
        for wrong in (
            good.replace("[Unreleased]", "[0.2.0] - 2026-12-02"),
            good.replace("2026-12-01", "yesterday"),
            good.replace("Added", "News"),
            good.replace("- A.\n", ""),
        ):
            assert len(rules.changelog(wrong)) == 1

    def test_stale_pages(self) -> None:
        """A page that differs, is missing or has no generator is found."""
        assert rules.stale_pages({"a.md": "A"}, {"a.md": "A"}) == []
        assert rules.stale_pages({"a.md": "old"}, {"a.md": "A"}) == ["a.md is stale: generate it again"]
        assert rules.stale_pages({}, {"a.md": "A"}) == ["a.md is stale: generate it again"]
        assert rules.stale_pages({"b.md": "B"}, {}) == ["b.md is made by no generator"]

    def test_unlocked(self) -> None:
        """A version that only the image would have is found."""
        lock = "boto3==1.43.1 \\\n    --hash=sha256:aa\nruff==0.17.0 \\\n    --hash=sha256:bb\n"
        assert rules.unlocked("boto3==1.43.1 \\\n    --hash=sha256:aa\n", lock) == []
        assert rules.unlocked("boto3==1.43.2 \\\n", lock) == [
            "requirements-run.lock has boto3==1.43.2, requirements.lock has not"
        ]

    def test_files(self, tmp_path: Path) -> None:
        """What .gitignore names is not looked at, wherever it lies."""
        (tmp_path / ".gitignore").write_text(".venv/\n__pycache__/\n")
        for name in ("a.py", ".venv/b.py", "pipeline/__pycache__/c.py", ".git/d.py", "pipeline/e.py"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("")
        assert [p.name for p in rules.files(tmp_path)] == [".gitignore", "a.py", "e.py"]
        assert list(rules.sources(tmp_path, "pipeline")) == ["pipeline/e.py"]
