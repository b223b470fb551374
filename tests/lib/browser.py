"""A headless Chromium and what a test asks of a page in it. The two speak the DevTools protocol over a pair of pipes: JSON,
each message ended by a zero byte (https://chromedevtools.github.io/devtools-protocol/), so nothing but Chromium is needed."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--hide-scrollbars", "--remote-debugging-pipe", "about:blank"]
KEYS = {"Tab": 9, "Enter": 13, "Space": 32, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36}


class Browser:
    def __init__(self):
        program = shutil.which("chromium")
        if not program:
            raise unittest.SkipTest("chromium is not installed (Debian: apt install chromium)")
        self.dir = tempfile.mkdtemp(prefix="ingestd-browser-")
        self.number = 0
        self.rest = b""
        self.listeners = {}
        its_in, self.out = os.pipe()
        self.into, its_out = os.pipe()
        self.process = self.start([program, f"--user-data-dir={self.dir}", *ARGUMENTS], its_in, its_out)
        os.close(its_in)
        os.close(its_out)

    def start(self, command, its_in, its_out):
        """Chromium reads its descriptor 3 and writes its descriptor 4."""
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (its_in, its_out)]

        def put_in_place():
            for place, fd in enumerate(ends, 3):
                os.dup2(fd, place)

        with open(f"{self.dir}/log", "wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=False,
                                       preexec_fn=put_in_place, start_new_session=True)
        for fd in ends:
            os.close(fd)
        return process

    def call(self, method, session=None, **params):
        """Sends a command and waits for its result; events that arrive meanwhile are passed to their page."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        while True:
            answer = self.receive(60)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def receive(self, timeout):
        deadline = time.monotonic() + timeout
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.into], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.into, 1 << 20) if ready else b""
            if not data:
                with open(f"{self.dir}/log", errors="replace") as log:
                    raise AssertionError(f"chromium {'ended' if ready else 'is silent'}: {log.read()[-2000:]}")
            self.rest += data
        text, self.rest = self.rest.split(b"\0", 1)
        message = json.loads(text)
        if "method" in message and message.get("sessionId") in self.listeners:
            self.listeners[message["sessionId"]](message["method"], message["params"])
        return message

    def close(self):
        try:
            self.call("Browser.close")
            self.process.wait(10)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.into)
        os.close(self.out)
        shutil.rmtree(self.dir, ignore_errors=True)


class Page:
    """One tab. requests: the addresses it requested; complaints: errors of its console and its scripts."""

    def __init__(self, browser, url, width=1280, height=900, dark=False, scale=1):
        self.browser = browser
        self.requests = []
        self.complaints = []
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        browser.listeners[self.session] = self.on_event
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height, scale)
        self.prefer(color_scheme="dark" if dark else "light")
        self.call("Page.navigate", url=url)

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def on_event(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.complaints.append(params["entry"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(params)

    def resize(self, width, height, scale=1):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)

    def prefer(self, **features):
        """Media features, as prefer(color_scheme="dark")."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": f"prefers-{name.replace('_', '-')}", "value": value}
                                                          for name, value in features.items()])

    def evaluate(self, script):
        """The value of an expression of JavaScript."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def text(self, element_id):
        return self.evaluate(f"document.getElementById({json.dumps(element_id)})?.innerText ?? ''")

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key],
                      **({"text": "\r"} if key == "Enter" and kind == "keyDown" else {}))

    def screenshot(self, path, whole=False, quality=None):
        """A PNG; with @quality, of 100, a WebP."""
        form = {"format": "webp", "quality": quality} if quality else {"format": "png"}
        if whole:
            height = self.evaluate("Math.ceil(document.documentElement.getBoundingClientRect().height)")
            width = self.evaluate("innerWidth")
            data = self.call("Page.captureScreenshot", captureBeyondViewport=True, **form,
                             clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        else:
            data = self.call("Page.captureScreenshot", **form)
        with open(path, "wb") as file:
            file.write(base64.b64decode(data["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
        del self.browser.listeners[self.session]
