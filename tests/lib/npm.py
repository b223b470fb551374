"""Packages of npm's registry, installed once into the cache directory."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = pathlib.Path(__file__).with_name("tree.sh")
CACHE = pathlib.Path(subprocess.run(["bash", "-c", 'source "$0" && echo "$cache"', TREE], check=True,
                                    stdout=subprocess.PIPE, text=True).stdout.strip())


class Unavailable(unittest.SkipTest):
    """A requirement is missing; the text names it."""


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
    """A directory with the *.mjs of @folder, and the node_modules that its package.json requires."""
    need("node", "npm")
    wanted = (folder / "package.json").read_bytes()
    place = CACHE / f"{folder.name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not (place / "complete").exists():
        place.mkdir(parents=True, exist_ok=True)
        (place / "package.json").write_bytes(wanted)
        try:
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"], cwd=place,
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


def run_npm(place, *command):
    """Runs a command of Node or npm in @place; raises Unavailable if the registry cannot be reached."""
    try:
        done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)} takes too long") from None
    if done.returncode:
        if command[:2] == ("npm", "install"):
            raise Unavailable(f"npm cannot install packages: {done.stdout.strip().splitlines()[-1:]}")
        raise AssertionError(f"{' '.join(command)}: {done.stdout}")
    return done.stdout


def client_package():
    """The compiled TypeScript client: compiled once per state of its source, in the cache directory."""
    need("node", "npm")
    source = ROOT / "src/clients/node"
    files = sorted(path for path in source.rglob("*") if path.is_file() and not {"node_modules", "dist"} & set(path.parts))
    state = hashlib.sha256(b"\0".join(str(path.relative_to(source)).encode() + path.read_bytes() for path in files))
    place = CACHE / f"client-{state.hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "client.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "complete").exists():
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("node_modules", "dist", ".build-*"))
            run_npm(place, "npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
            run_npm(place, "node", "build.mjs")
            (place / "complete").touch()
    return place
