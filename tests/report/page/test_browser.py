"""The page in a real browser: what a reader sees, presses and downloads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from helpers.page_reader import (
    addresses,
    choose,
    downloaded,
    drawn,
    element,
    press,
    show,
    tick,
    until,
)

from gradsweep.analysis import curves
from gradsweep.report.formats import csv
from gradsweep.report.measures import compute_measures
from gradsweep.report.tables import tables

PLACE = """
const [layer, value] = arguments, layout = chart._fullLayout;
chart.scrollIntoView({block: "center"});
const box = chart.getBoundingClientRect();
return [box.left + layout.xaxis._offset + layout.xaxis.d2p(layer),
        box.top + layout.yaxis._offset + layout.yaxis.d2p(value)];
"""
"""Where the window has a layer and value of the first panel."""

POOR_CONTRAST = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const linear = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const behind = (node) => {
  for (; node; node = node.parentElement) {
    const colour = parse(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour;
  }
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), poor = [];
while (walker.nextNode()) {
  const text = walker.currentNode.data.trim(), node = walker.currentNode.parentElement;
  if (!text || node.closest("svg, script") || !node.checkVisibility()) continue;
  const pair = [luminance(parse(getComputedStyle(node).color)), luminance(behind(node))];
  const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  if (ratio < 4.5) poor.push([text, ratio]);
}
return poor;
"""
"""Texts below the contrast that WCAG AA asks for."""

LONG_WORDS = """
const texts = [...document.querySelectorAll("main p, main li, main dd, main summary")];
for (const text of texts) if (text.checkVisibility()) text.append(" " + "path/".repeat(60));
"""
"""What a reason may have: an address, or a path."""

UNNAMED = """
const controls = "select, button, input, [role=region], [role=img], nav, form";
return [...document.querySelectorAll(controls)].filter((node) => node.checkVisibility()).filter(
  (node) => !(node.ariaLabel || node.labels?.length || node.textContent.trim()
    || document.getElementById(node.getAttribute("aria-labelledby"))?.textContent)
).map((node) => node.outerHTML);
"""
"""Controls and regions that a screen reader could not name."""


@pytest.fixture
def browser(chromium: Any, page: Path) -> Any:
    """The page, as on a first visit, 1280 pixels wide; a console error fails the test."""
    show(chromium, page)
    yield chromium
    assert [line for line in chromium.get_log("browser") if line["level"] == "SEVERE"] == []


def test_it_draws_without_network_or_console_messages(browser, page):
    assert addresses(browser) == {page.as_uri()}
    assert browser.get_log("browser") == []
    # Two projections, three levels, correct and irrelevant, of the first model.
    assert len(drawn(browser)) == 12
    assert len(browser.find_elements("css selector", "#chart .scatterlayer .js-line")) >= 12


def test_choices_change_the_chart(browser, rows):
    before = drawn(browser)
    choose(browser, "metric", "effective_rank")
    assert drawn(browser) != before
    expected = curves(rows.filter(model="tiny", projection="q"), "effective_rank", resamples=0)
    correct = expected.filter(cot="none", correctness="correct")["mean"].to_list()
    assert any(curve[:-1] == pytest.approx(correct, rel=1e-3) for curve in drawn(browser))
    choose(browser, "rows", "cot")
    panels = "return Object.keys(chart.layout).filter((name) => name.startsWith('xaxis')).length"
    assert browser.execute_script(panels) == 6
    tick(browser, "k")
    assert browser.execute_script(panels) == 3
    tick(browser, "tiny_instruct")
    assert "differ in model" in element(browser, "message").text


def test_rd_and_pairs_have_views_of_their_own(browser):
    press(browser, "differences")
    # |4 - 4.2| / 4, |1 - 1.3| / 1 and |0.5 - 0.9| / 0.5 in every layer and projection.
    assert {round(curve[0], 4) for curve in drawn(browser)} == {0.05, 0.3, 0.8}
    press(browser, "pairs")
    assert len(drawn(browser)) == 12
    tick(browser, "irrelevant")
    assert drawn(browser) == []
    assert "both correct and irrelevant" in element(browser, "message").text


def test_models_stand_side_by_side_at_one_press(browser):
    press(browser, "models")
    titles = "return chart.layout.annotations.map((a) => a.text)"
    assert sum("tiny_instruct" in text for text in browser.execute_script(titles)) == 2
    assert element(browser, "message").text == ""
    press(browser, "curves")
    assert len(drawn(browser)) == 12


def y_axes(browser):
    return browser.execute_script(
        "return Object.keys(chart._fullLayout).filter((name) => name.startsWith('yaxis'))"
        ".map((name) => [...chart._fullLayout[name].range, chart._fullLayout[name].type])"
    )


def test_one_scale_is_seen(browser):
    shared = y_axes(browser)
    element(browser, "shared").click()
    own = y_axes(browser)
    assert shared[0] == shared[1]
    # K is twice as large as Q.
    assert own[0] != own[1]


def test_conditions_that_differ_ten_fold_are_on_a_log_scale(chromium, plant, page_of, tmp_path):
    levels = {("none", "correct"): 40.0, ("detailed", "correct"): 1.0}
    show(chromium, page_of(plant(levels, projections="q"), tmp_path))
    assert y_axes(chromium)[0][-1] == "log"
    assert element(chromium, "log").is_selected()
    element(chromium, "log").click()
    assert y_axes(chromium)[0][-1] == "linear"


def test_the_map_shows_norms_rd_or_states(browser):
    cell = browser.find_element("css selector", "[data-point='tiny-sums-none-correct']")
    # About 4 in Q and 8 in K, RD 5 %, five samples.
    assert cell.text == "5.7"
    assert "no CoT · correct: done, 5 samples, 1 bad, nuclear norm 5.7, RD 0.05" in (
        cell.get_attribute("title"))  # fmt: skip
    for by, text in (("rd", "0.05"), ("state", "5")):
        element(browser, "map-by").find_element("css selector", f"[data-by='{by}']").click()
        assert cell.text == text


def test_a_table_is_short_until_it_is_unfolded(browser):
    lines = "return document.querySelectorAll('#table tbody tr').length"
    assert browser.execute_script(lines) == 3 * 6
    element(browser, "more-lines").click()
    assert browser.execute_script(lines) == 3 * 6 * 4
    assert "early layers" in element(browser, "table").text


def point_at(browser, layer, value):
    """The text beside the pointer, at this place of the first panel."""
    from selenium.webdriver import ActionChains

    x, y = browser.execute_script(PLACE, layer, value)
    actions = ActionChains(browser)
    actions.w3c_actions.pointer_action.move_to_location(round(x) - 3, round(y))
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()
    return shown_text(browser)


def tap(browser, layer, value):
    x, y = browser.execute_script(PLACE, layer, value)
    for kind, points in (("touchStart", [{"x": x, "y": y}]), ("touchEnd", [])):
        event = {"type": kind, "touchPoints": points}
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)
    return shown_text(browser)


def shown_text(browser):
    hovered = "#chart .hoverlayer .hovertext"
    (label,) = until(lambda: browser.find_elements("css selector", hovered))
    return label.get_attribute("textContent")


@pytest.mark.parametrize(("reach", "width"), [(point_at, 1280), (tap, 390)])
def test_a_value_tells_its_interval_and_samples(browser, page, rows, reach, width):
    show(browser, page, width)
    curve = curves(rows.filter(model="tiny", projection="q", cot="none"), "nuclear_norm")
    one = curve.filter(correctness="irrelevant", layer=3).to_dicts()[0]
    text = reach(browser, 3, one["mean"])
    for shown in ("no CoT · irrelevant", "Q, layer 3", "n = 4 samples"):
        assert shown in text
    for name in ("mean", "ci_low", "ci_high"):
        assert f"{one[name]:.4g}" in text


def test_an_rd_tells_both_values_and_questions(browser):
    press(browser, "differences")
    text = point_at(browser, 3, 0.8)
    for shown in ("detailed CoT", "RD 0.8", "correct 0.75, irrelevant 1.35", "n = 4 questions"):
        assert shown in text


def test_downloads_have_the_numbers(browser, rows):
    table = next(tables(compute_measures(rows, "nuclear_norm")))
    path = downloaded(browser, f"{table.name}.csv", "save-table")
    assert path.read_text(encoding="utf-8") == csv(table)
    found = pl.read_csv(downloaded(browser, "curves-nuclear_norm.csv", "save-curves"))
    expected = curves(rows.filter(model="tiny"), "nuclear_norm").rename({"mean": "exact"})
    expected = expected.with_columns(pl.col("layer").cast(pl.Int64))
    where = ["model", "dataset", "cot", "correctness", "projection", "layer"]
    joined = found.join(expected, on=where)
    assert len(joined) == len(expected)
    assert joined["mean"].to_list() == pytest.approx(joined["exact"].to_list(), rel=1e-4)
    settings = pl.read_csv(downloaded(browser, "settings.csv", "save-settings"))
    assert settings["cot.level"].to_list() == settings["cot"].to_list()
    assert set(settings["versions.git_commit"]) == {"abc"}
    assert settings["seed"].to_list() == [0] * len(settings)
    assert downloaded(browser, "curves-nuclear_norm.png", "save-image").stat().st_size > 10_000


def test_the_keyboard_is_enough(browser):
    from selenium.webdriver.common.keys import Keys

    preset = element(browser, "presets").find_elements("css selector", "button")[2]
    preset.send_keys(Keys.ENTER)
    assert len(drawn(browser)) == 6
    button = element(browser, "legend").find_element("css selector", "button")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "false"
    assert len(drawn(browser)) == 4
    values = element(browser, "curve-values")
    values.find_element("css selector", "summary").send_keys(Keys.ENTER)
    lines = until(lambda: values.find_elements("css selector", "tbody tr"))
    # Nine layers of three levels in two projections: what is hidden stays in the table.
    assert len(lines) == 9 * 3 * 2


def test_a_cell_of_the_grid_leads_to_its_point(browser):
    link = browser.find_element("css selector", "[data-point='tiny-sums-detailed-correct']")
    link.click()
    assert "tiny-sums-detailed-correct" in element(browser, "point").text
    assert "nothing to read" in element(browser, "point").text
    element(browser, "show-point").click()
    assert len(drawn(browser)) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_can_be_read_on_every_screen(browser, page, scheme, width):
    show(browser, page, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach((d) => (d.open = true))")
    assert browser.execute_script(POOR_CONTRAST) == []
    assert browser.execute_script(UNNAMED) == []
    browser.execute_script(LONG_WORDS)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_button_turns_the_colours_and_paper_is_white(browser):
    paper = "return [getComputedStyle(document.body).backgroundColor, chart.layout.paper_bgcolor]"
    light = browser.execute_script(paper)
    element(browser, "theme").click()
    dark = browser.execute_script(paper)
    assert dark != light
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert browser.execute_script(paper) == light
    a4 = 794 - 2 * 48
    assert browser.execute_script("return chart.layout.width") <= a4
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(paper) == dark


def test_hostile_names_stay_text(browser, plant, page_of, tmp_path):
    rows = plant(projections="q", n_layers=3, model="</script><img src=x onerror=alert(1)>")
    show(browser, page_of(rows, tmp_path))
    assert browser.find_elements("css selector", "img") == []
    assert "<img" in element(browser, "chart-title").text
