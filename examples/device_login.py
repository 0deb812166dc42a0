#!/usr/bin/env python3
"""
GATEHOUSE_URL=http://localhost:8080 python3 examples/device_login.py

A program that signs its user in through a browser, with the standard library of Python and the JSON methods of Gatehouse.
Exit codes: 0 signed in, 1 failed, 4 denied, 5 expired, 130 Ctrl-C.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid

BASE = os.environ.get("GATEHOUSE_URL", "http://localhost:8080")


class Refused(Exception):
    """A call that the service refused. `reason` is that of docs/errors.md."""

    def __init__(self, body):
        super().__init__(body.get("message", "the service refused the call"))
        details = body.get("details", [])
        self.reason = next((d["debug"]["reason"] for d in details if "reason" in d.get("debug", {})), "")
        delays = (d["debug"]["retryDelay"] for d in details if "retryDelay" in d.get("debug", {}))
        self.retry_after = next((seconds(delay) for delay in delays), 0)


def call(method, message, token=None):
    request = urllib.request.Request(f"{BASE}/gatehouse.v1.{method}", json.dumps(message).encode())
    request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise Refused(json.load(error)) from error


def seconds(duration):
    """A duration in JSON, such as `5s`."""
    return float(duration.rstrip("s"))


def sign_in():
    code = call("DeviceService/RequestDeviceCode", {"clientName": "Python example", "credential": "DEVICE_CREDENTIAL_SESSION"})
    print(f"Open    {code['verificationUriComplete']}")
    print(f"Code    {code['userCode']}")
    print(f"Number  {code['comparisonNumber']}  (the page displays the same number)", flush=True)
    try:
        return wait(code)
    except (KeyboardInterrupt, OSError):
        # Nobody is to approve a login that no program waits for.
        call("DeviceService/CancelLogin", {"pollingSecret": code["deviceCode"]})
        raise


def wait(code):
    # The same nonce for all polls, so that a lost response with tokens is repeated.
    poll = {"deviceCode": code["deviceCode"], "clientNonce": str(uuid.uuid4())}
    pause = seconds(code["interval"])
    while True:
        time.sleep(pause)
        try:
            return call("DeviceService/PollDeviceToken", poll)
        except Refused as refused:
            if refused.reason == "SLOW_DOWN":
                pause = refused.retry_after or pause + 5
            elif refused.reason not in ("AUTHORIZATION_PENDING", "OVER_REQUEST_RATE_LIMIT"):
                raise


def main():
    try:
        login = sign_in()
        # Keep login["tokens"]["refreshToken"] in a file that only its owner can read, or in the keyring.
        me = call("AuthService/GetMe", {}, login["tokens"]["accessToken"])
        print(f"Signed in as {me['user']['email']}.")
        return 0
    except Refused as refused:
        print(refused, file=sys.stderr)
        return {"ACCESS_DENIED": 4, "EXPIRED_TOKEN": 5}.get(refused.reason, 1)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
