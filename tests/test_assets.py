"""Static files: kept for ever by browsers, small on the way."""

import pytest

from portal.app import create_app
from portal.serving import build
from portal.web import static_files


def linked(page):
    """The addresses of the static files that a page loads."""
    found = page.html.find_all(["link", "script"])
    return [tag.get("href") or tag.get("src") for tag in found if tag.get("href") or tag.get("src")]


def test_pages_load_only_static_files_under_names_of_their_content(visitor):
    files = linked(visitor.get("/signup"))
    assert len(files) >= 4
    for path in files:
        answer = visitor.get(path).response
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"
        assert "Set-Cookie" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_programs_find_an_icon_and_what_robots_may_read_at_the_top(visitor):
    icon = visitor.get("/favicon.ico").response
    assert icon.data.startswith(b"\x00\x00\x01\x00")
    assert icon.mimetype in ("image/x-icon", "image/vnd.microsoft.icon")
    robots = visitor.get("/robots.txt").response
    assert (robots.mimetype, robots.text) == ("text/plain", "User-agent: *\nDisallow: /\n")
    for answer in (icon, robots):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age" in answer.headers["Cache-Control"]


@pytest.mark.parametrize("encoding", ["br", "gzip"])
def test_static_files_come_compressed(visitor, encoding):
    for path in linked(visitor.get("/signup")):
        answer = visitor.get(path, headers={"Accept-Encoding": encoding}).response
        if not path.endswith(".svg"):
            assert answer.headers["Content-Encoding"] == encoding
        assert "Accept-Encoding" in answer.headers["Vary"]


@pytest.mark.parametrize("path", ["/", "/login", "/signup"])
def test_what_a_first_visit_loads_is_less_than_60_kb(visitor, path):
    page = visitor.get(path)
    files = [visitor.get(found, headers={"Accept-Encoding": "br"}) for found in linked(page)]
    assert len(page.response.data) + sum(len(file.response.data) for file in files) < 60_000


@pytest.mark.attack("C3")
def test_static_files_carry_the_headers_that_protect_pages(visitor):
    for path in linked(visitor.get("/signup")):
        headers = visitor.get(path).response.headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path", ["css/portal.css", "../settings.py", "%2e%2e/settings.py", "css/", "", "manifest.json.gz"]
)  # fmt: skip
def test_nothing_else_is_served(visitor, path):
    assert visitor.get(f"/static/{path}").status == 404


def test_a_change_gives_another_name_and_no_change_does_nothing(tmp_path, monkeypatch):
    own = tmp_path / "static"
    own.mkdir()
    (own / "one.css").write_text("a {}")
    monkeypatch.setattr(build, "TOP", tmp_path)
    monkeypatch.setattr(build, "_PACKAGE_FILES", ())  # the large ones take seconds to compress
    into = tmp_path / "assets"
    build.build(into)
    [first] = into.glob("one.*.css")
    before = first.stat()
    build.build(into)
    assert first.stat() == before
    (own / "one.css").write_text("b {}")
    build.build(into)
    [second] = into.glob("one.*.css")
    assert second.name != first.name


def test_a_portal_whose_files_were_not_gathered_says_how_to(tmp_path, monkeypatch, settings):
    monkeypatch.setattr(static_files, "BUILT", tmp_path)
    with pytest.raises(static_files.NotBuilt, match=r"python -m portal\.serving\.build"):
        create_app(settings)
