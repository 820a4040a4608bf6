"""The page of a sweep's report in a browser: what is drawn, and what the filters change."""

import shutil

import numpy as np
import pytest
import sweep_data as made

from jaxcoopt.report.sweep_report import sweep_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here to open the page with")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """A function that opens a dataset's report; afterwards: no errors, and nothing asked for but the file."""
    complaints, asked = [], []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    def open_report(dataset, **options):
        path = tmp_path / "report.html"
        path.write_text(sweep_report(dataset, **options).html())
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        return page

    yield open_report
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    page.close()


def cells(page):
    """The heat map's numbers, exponents of 10, [y, x]; None where there is none."""
    return page.evaluate("document.getElementById('map').data[0].z.map((row) => Array.from(row))")


def lines(page):
    """How many curves the first panel shows."""
    return page.locator("#curves .cartesianlayer .xy .scatterlayer path.js-line").count()


def test_the_page_draws_what_the_sweep_holds(opened):
    dataset = made.grid()
    page = opened(dataset)
    assert page.locator("h1").inner_text() == "A sweep"
    assert "315 of 350 runs are done (90 %)" in page.locator("#progress").inner_text()
    assert page.locator("#map .heatmaplayer image").count() == 1
    found = np.array([[np.nan if value is None else value for value in row] for row in cells(page)])
    assert found.shape == (5, 7)
    values = sweep_report(dataset).statistics["training_gap"].median.reshape(7, 5, 2)
    expected = np.log10(np.fmin(values[..., 0], values[..., 1])).T  # the better of the two networks
    np.testing.assert_allclose(found[:, :5], expected[:, :5], atol=1e-3)
    assert np.isnan(found[4, 6])  # all diverged
    assert page.locator("#map .scatterlayer path.point").count() == 5  # crosses; several points are equally good
    assert "points share the least value" in page.locator("#map-note").inner_text()
    assert lines(page) == 8
    assert page.locator("#curves .xaxislayer-above").count() + page.locator("#curves .xtitle").count() >= 1
    assert page.locator("#diverged tr").count() == 1 + 11


def test_filters_change_what_is_shown(opened):
    dataset = made.grid()
    page = opened(dataset)
    before = cells(page)
    page.locator(".filter[data-axis=network] label", has_text="ring").locator("input").uncheck()
    page.wait_for_function("document.getElementById('chosen').textContent.startsWith('Shown: 35 of 70')")
    after = cells(page)
    assert after != before
    assert after[0] == [None] * 7  # this network's first step is not run yet
    ranked = sweep_report(dataset).statistics["training_gap"].median.reshape(7, 5, 2)
    assert after[2][3] == pytest.approx(np.log10(ranked[3, 2, 1]), abs=1e-3)
    page.locator("#metric").select_option("allocation gap")
    assert "allocation gap" in page.locator("#map-title").inner_text()
    page.locator("#lines").select_option("along channel.rho")
    assert lines(page) == 7
    page.locator("#y").select_option("nothing")
    assert page.locator("#map .scatterlayer path.point").count() >= 7
    page.locator("#reset").click()
    assert page.locator("#chosen").inner_text().startswith("Shown: 70 of 70")


def test_samples_are_dots_and_limits_filter_them(opened, rng):
    axes = {"a": 10 ** rng.uniform(-3, 0, 30), "b": rng.uniform(size=30)}
    page = opened(made.sweep(axes, points=30))
    dots = page.locator("#map .scatterlayer .trace").first.locator("path.point")
    assert dots.count() == 30
    page.locator(".filter[data-axis=a] select").last.select_option(index=9)
    page.wait_for_function("document.getElementById('chosen').textContent.startsWith('Shown: 10 of 30')")
    assert dots.count() == 10


def test_zoom(opened):
    page = opened(made.grid())
    span = "(() => { const [low, high] = document.getElementById('map').layout.xaxis.range; return high - low; })()"
    before = page.evaluate(span)
    box = page.locator("#map .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function(f"{span} < {0.6 * before}")


@pytest.mark.parametrize("case", ["nothing", "labels", "diverged"])
def test_hardly_anything_to_draw(opened, case):
    if case == "nothing":
        page = opened(made.sweep({}, seeds=1))
        assert page.locator("#map-section").is_hidden()
        assert lines(page) == 1
    elif case == "labels":
        page = opened(made.sweep({"network": ["a<b>", "{{x}}", "</script>"]}))
        assert page.locator("#map .xtick").all_text_contents() == ["a<b>", "{{x}}", "</script>"]
        assert page.locator("#map .scatterlayer path.point").count() == 3
    else:
        page = opened(made.diverge(made.sweep({"a": [1, 2], "b": [1, 2]})))
        assert "No point shown has a finite run" in page.locator("#best").inner_text()
        assert page.locator("#map .scatterlayer path.point").count() == 4
