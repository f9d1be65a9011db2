"""Builds the static files, ours and those of packages: ``python -m portal.serving.build``."""

import hashlib
import json
import shutil
from importlib.util import find_spec
from pathlib import Path

from whitenoise.compress import Compressor

from portal.web.static_files import BUILT, HASH_DIGITS, MANIFEST, TOP, NotBuilt

# Name, package, path in the package.
_PACKAGE_FILES = (
    ("css/bootstrap.css", "flask_bootstrap", "static/bootstrap5/css/bootstrap.min.css"),
    ("docs/swagger-ui.css", "flask_swagger_ui", "dist/swagger-ui.css"),
    ("docs/swagger-ui.js", "flask_swagger_ui", "dist/swagger-ui-bundle.js"),
)


def build(into: Path = BUILT) -> None:
    """Collect all static files in ``into``, with compressed copies; does nothing if up to date."""
    sources = _sources()
    names = {name: _hashed(name, source) for name, source in sources.items()}
    manifest = into / MANIFEST
    if manifest.exists() and json.loads(manifest.read_text()) == names:
        manifest.touch()  # make compares times
        return
    fresh = into.with_name(f"{into.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    compressor = Compressor(quiet=True)
    for name, source in sources.items():
        target = fresh / names[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        compressor.compress(str(target))
    (fresh / MANIFEST).write_text(json.dumps(names))
    shutil.rmtree(into, ignore_errors=True)
    fresh.rename(into)


def _sources() -> dict[str, Path]:
    own = TOP / "static"
    files = [path for path in sorted(own.rglob("*")) if path.is_file()]
    packaged = {name: _package(package) / path for name, package, path in _PACKAGE_FILES}
    return {str(path.relative_to(own)): path for path in files} | packaged


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise NotBuilt(f"The package {name} is missing: install requirements.txt.")
    return Path(spec.origin).parent


def _hashed(name: str, source: Path) -> str:
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:HASH_DIGITS]
    stem, dot, extension = name.rpartition(".")
    return f"{stem}.{digest}{dot}{extension}"


if __name__ == "__main__":
    build()
