"""A project that has installed the packed TypeScript package."""

import pathlib
import shutil
import subprocess
import tempfile

from lib.npm import client_package, need_node, packages, run_npm


class Project:
    """A folder where the packed package is installed, with the scripts of @folder and the packages of its package.json."""

    def __init__(self, test, folder, *more_scripts):
        need_node(20)
        place = tempfile.TemporaryDirectory(prefix="ingestd-client-")
        test.addClassCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        built, tools = client_package(), packages(folder)
        self.tgz = self.place / run_npm(built, "npm", "pack", "--silent", "--pack-destination", self.place).strip().splitlines()[-1]
        (self.place / "node_modules").mkdir()
        for path in (tools / "node_modules").iterdir():
            (self.place / "node_modules" / path.name).symlink_to(path)
        self.package = self.place / "node_modules/boris-ingestd-client"
        self.package.mkdir()
        subprocess.run(["tar", "-xzf", self.tgz, "-C", self.package, "--strip-components=1"], check=True)
        (self.place / "package.json").write_text('{"type": "module"}')
        for script in [*folder.iterdir(), *more_scripts]:
            if script.name != "package.json":
                shutil.copy(script, self.place)

    def run(self, *command, stdin=None, env=None):
        """Its output, both streams; fails if the command fails."""
        done = subprocess.run(command, cwd=self.place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                              input=stdin, env=env)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}")
        return done.stdout

    def bin(self, name, *args, **options):
        return self.run(f"node_modules/.bin/{name}", *map(str, args), **options)
