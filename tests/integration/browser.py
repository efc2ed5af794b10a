# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium, driven over the pipe of its DevTools protocol: JSON messages that end in a NUL byte."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 60.0


def find():
    """The browser's program; None where there is none."""
    return shutil.which("chromium")


class Failure(AssertionError):
    pass


class Browser:
    """One headless browser with one page. What its console, its policies and its scripts complain of is in `complaints`."""

    def __init__(self, width=1280, height=800):
        self.profile = tempfile.mkdtemp(prefix="b-chromium-", dir="/tmp")
        to_child, self.writer = os.pipe()
        self.reader, from_child = os.pipe()

        def arrange():
            # Copies above 4 first: either of them may be 3 or 4 itself.
            source, sink = os.dup2(to_child, 20), os.dup2(from_child, 21)
            os.dup2(source, 3)
            os.dup2(sink, 4)

        # A sandbox needs rights that tests in a container do not have; the page is ours.
        self.process = subprocess.Popen(
            [find(), "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
             "--hide-scrollbars", f"--user-data-dir={self.profile}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=arrange,
            close_fds=False, start_new_session=True)
        os.close(to_child)
        os.close(from_child)
        self.buffer = b""
        self.number = 0
        self.answers = {}
        self.complaints = []
        self.requests = []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.writer)
        os.close(self.reader)
        shutil.rmtree(self.profile, ignore_errors=True)

    def read(self, timeout):
        """Takes what has come; False where nothing has within the time."""
        if not select.select([self.reader], [], [], timeout)[0]:
            return False
        more = os.read(self.reader, 1 << 20)
        if not more:
            raise Failure("the browser has ended")
        *messages, self.buffer = (self.buffer + more).split(b"\0")
        for message in messages:
            self.take(json.loads(message))
        return True

    def take(self, message):
        parameters = message.get("params", {})
        if "id" in message:
            self.answers[message["id"]] = message
        elif message["method"] == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif message["method"] == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif message["method"] == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(each.get("value")) for each in parameters["args"]))
        elif message["method"] == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while self.number not in self.answers:
            if time.monotonic() > end:
                raise Failure(f"no answer to {method}")
            self.read(0.5)
        answer = self.answers.pop(self.number)
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url):
        self.call("Page.navigate", url=url)

    def js(self, expression):
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failure(f"{expression}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def wait(self, expression, timeout=PATIENCE):
        """Waits until an expression is true."""
        end = time.monotonic() + timeout
        while not self.js(f"!!({expression})"):
            if time.monotonic() > end:
                raise Failure(f"never true: {expression}; complaints: {self.complaints}")
            self.read(0.05)

    def resize(self, width, height, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)

    def media(self, **features):
        """Such as prefers_color_scheme="dark"."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": name.replace("_", "-"), "value": value}
                                                          for name, value in features.items()])

    def press(self, key, text=None):
        codes = {"Enter": 13, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "End": 35,
                 "Home": 36, "PageDown": 34, "PageUp": 33, "Escape": 27}
        code = codes.get(key, ord(key[0].upper()))
        extra = {"text": "\r"} if key == "Enter" else {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **extra)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))
