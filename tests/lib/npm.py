"""Packages of npm's registry, fetched once into the cache folder."""

import hashlib
import os
import pathlib
import shutil
import subprocess

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"), "boris-ingestd")


class Unavailable(Exception):
    """The packages cannot be had here; the text says why."""


def with_packages(scripts, name):
    """A folder with the *.mjs of the folder @scripts, and beside them the node_modules that its package.json asks for."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")
    wanted = (scripts / "package.json").read_bytes()
    place = CACHE / f"{name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_bytes(wanted)
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--fetch-retries=1"], cwd=place,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            raise Unavailable("npm's registry does not answer") from None
        if done.returncode:
            raise Unavailable(f"npm cannot install the packages: {done.stdout.strip().splitlines()[-1:]}")
        (place / "complete").touch()
    for script in scripts.glob("*.mjs"):
        shutil.copy(script, place)
    return place
