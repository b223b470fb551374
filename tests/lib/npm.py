"""Packages of npm's registry: installed once, into the cache folder."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import unittest

TREE = pathlib.Path(__file__).with_name("tree.sh")
CACHE = pathlib.Path(subprocess.run(["bash", "-c", 'source "$0" && echo "$cache"', TREE], check=True,
                                    stdout=subprocess.PIPE, text=True).stdout.strip())


class Unavailable(unittest.SkipTest):
    """What is needed is not there; the text says why."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Unavailable(f"{program} is not installed")


def need_node(version):
    need("node")
    found = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if int(found.lstrip("v").split(".")[0]) < version:
        raise Unavailable(f"node is {found}, {version} is needed")


def packages(folder):
    """A folder with the *.mjs of @folder, and beside them the node_modules that its package.json asks for."""
    need("node", "npm")
    wanted = (folder / "package.json").read_bytes()
    place = CACHE / f"{folder.name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_bytes(wanted)
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--fetch-retries=1"], cwd=place,
                                  env=os.environ | {"npm_config_cache": str(CACHE / "npm")}, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=180)
        except subprocess.TimeoutExpired:
            raise Unavailable("npm's registry does not answer") from None
        if done.returncode:
            raise Unavailable(f"npm cannot install {folder.name}'s packages: {done.stdout.strip().splitlines()[-1:]}")
        (place / "complete").touch()
    for script in folder.glob("*.mjs"):
        shutil.copy(script, place)
    return place
