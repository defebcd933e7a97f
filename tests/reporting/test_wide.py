"""Tables are shown whole: smaller where they are wide, as a list where that does not do."""

import re
import shutil
import subprocess

import jinja2
import pytest

from vae_jax.reporting import wide

SHORT = ["run", "log_p", "difference", "[95%, examples]", "remarks"]
ROWS = [["plain", "-89.78", "–", "–", "baseline"],
        ["a_run_with_a_very_long_name_of_its_own", "-88.2", "+1.58", "[+1.2, +1.9]", ""]]  # fmt: skip


def page(table):
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vae_jax.reporting", "."), autoescape=True
    )
    template = '{% extends "page.html.jinja" %}{% import "macros.html.jinja" as macros %}{% block body %}{{ macros.wide(table, "main") }}{% endblock %}'
    return environment.from_string(template).render(table=table, main=table, name="page")


def columns(count):
    header = [f"quantity_{i}" for i in range(count)]
    return wide.of(["run", *header], [["plain", *["-89.78 ± 0.12"] * count]] * 2)


def test_a_table_that_fits_keeps_its_letters():
    table = wide.of(SHORT, ROWS)
    assert (table.size, table.paper) == (".9rem", "8pt")
    assert table.are_numbers == [False, True, True, True, False]
    assert table.pixels < 800


def test_a_wider_one_has_smaller_letters_and_the_widest_is_a_list_on_paper():
    sizes = [(columns(n).size, columns(n).paper, columns(n).pixels) for n in (5, 9, 40)]
    assert [size[:2] for size in sizes] == [(".9rem", "8pt"), (".9rem", "6.5pt"), (".78rem", "")]
    assert sizes[2][2] > 1200  # on a screen of 1,200 it is a list


def test_every_cell_of_a_list_has_its_name_and_empty_ones_are_left_out():
    text = page(wide.of(SHORT, ROWS))
    cells = re.findall(r'<td data-name="([^"]*)" class="([^"]*)">([^<]*)</td>', text)
    assert [name for name, _, _ in cells] == SHORT * 2
    assert [kind for _, kind, value in cells if value in ("", "–")] == ["number none"] * 2 + [
        "text none"
    ]
    assert "content: attr(data-name)" in text
    assert f"@media screen and (max-width: {wide.of(SHORT, ROWS).pixels}px)" in text
    assert "overflow-x" not in text.partition('<table class="whole"')[2]


@pytest.mark.skipif(not shutil.which("chromium"), reason="no browser")
@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 12, 40])
def test_a_browser_cuts_nothing(count, tmp_path):
    """At 1,200 and at 400 pixels no cell reaches over its edge, and no row over that of the page."""
    (tmp_path / "page.html").write_text(page(columns(count)))
    script = """<iframe id=f style="width:%dpx;height:900px" src="page.html"></iframe><pre id=out></pre><script>
    f.onload = () => { const d = f.contentDocument, t = d.querySelector("table.whole");
      const over = [...t.querySelectorAll("td, th")].filter(c => c.scrollWidth > c.clientWidth + 1).length;
      out.textContent = `over=${over} right=${t.getBoundingClientRect().right <= d.documentElement.clientWidth}`; };
    </script>"""
    for width in (1200, 400):
        (tmp_path / "frame.html").write_text(script % width)
        command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000",
                   "--allow-file-access-from-files", "--virtual-time-budget=4000", "--dump-dom",
                   f"file://{tmp_path}/frame.html"]  # fmt: skip
        out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert "over=0 right=true" in out, width
