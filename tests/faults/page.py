"""`python -m tests.faults.page`: write docs/faults.md, the catalogue with the tests that inject each fault."""

from tests.faults.catalogue import ROOT, WORLDS_PLACE, Fault, Shown, coverage, faults, shown

PATH = "docs/faults.md"
INTRODUCTION = """# What can go wrong

The faults this pipeline is built for, and the tests that inject each. A test counts for a fault only if it makes that
fault happen and looks at what follows. *Simulated* is a trouble of the
[simulated worlds](../tests/simulation/README.md), in which promises 1 to 11 of [what is promised](guarantees.md) are
looked at; of the other tests, those in `tests/blackbox` and `tests/contracts` run on emulators. Nothing ran on real
AWS.

This page is made by `python -m tests.faults.page` from `tests/faults/catalogue.toml` and the markers of the tests.

"""


def page() -> str:
    """Return the page."""
    out, group = [INTRODUCTION, coverage().capitalize(), ".\n"], ""
    for fault in faults():
        if fault.group != group:
            group = fault.group
            out.append(f"\n## {group}\n\n| id | fault | what must follow | tests |\n|---|---|---|---|\n")
        out.append(f"| {fault.id} | {fault.what} | {fault.expect} | {_tests(fault)} |\n")
    return "".join(out)


def _tests(fault: Fault) -> str:
    found = [_link(each) for each in shown().get(fault.id, ())]
    if not found:
        found = [f"**none**: {fault.none}" if fault.none else "**none yet**"]
    if fault.part:
        found.append(f"**not injected**: {fault.part}")
    return "; ".join(found)


def _link(each: Shown) -> str:
    if each.place == WORLDS_PLACE and "::" not in each.name and not each.name.startswith("test_"):
        return f"simulated: {each.name}"
    words = each.name.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    return f"[{words}](../{each.place})"


def main() -> None:
    """Write the page."""
    (ROOT / PATH).write_text(page(), encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
