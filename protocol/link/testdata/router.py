"""A ROUTER on real libzmq, without handover, driven over stdin and stdout.

Arguments: one JSON object:
  {"bind": endpoint, "options": {"HEARTBEAT_IVL": 100, ...}, "echo": true,
   "plain": {user: password}, "curve": {"public": key, "secret": key, "clients": [key, ...]}}
With echo it sends every message back and reports none. With plain or curve it
lets nobody in but those; keys are Z85.

Every line on stdin is a JSON command, every line on stdout a JSON report:

  first          -> {"endpoint": ...}
  a message came -> {"from": identity, "frames": [base64, ...]}
                    (from is "base64:..." when it is not UTF-8)
  {"send": {"to": identity, "frames": [base64, ...]}}
  {"await_gone": identity}  -> {"gone": identity}, when its connection is forgotten
  {"quit": true}  close in good order
"""

import base64
import json
import sys
import time

import zmq
from zmq.auth.thread import ThreadAuthenticator


def report(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def name(identity):
    try:
        return identity.decode("utf-8")
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(identity).decode()


class Known:
    """Says which client keys may come in."""

    def __init__(self, keys):
        self.keys = {key.encode() for key in keys}

    def callback(self, domain, key):
        return key in self.keys


def protect(context, router, config):
    """Asks for PLAIN or CURVE. It gives what must be stopped in the end."""
    plain, curve = config.get("plain"), config.get("curve")
    if not plain and not curve:
        return None
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    if plain:
        authenticator.configure_plain(domain="*", passwords=plain)
        router.plain_server = True
    if curve:
        authenticator.configure_curve_callback(domain="*", credentials_provider=Known(curve["clients"]))
        router.curve_publickey = curve["public"].encode()
        router.curve_secretkey = curve["secret"].encode()
        router.curve_server = True
    return authenticator


def await_gone(router, identity):
    """Return when nobody has the identity. Who still has it may get an empty message."""
    router.router_mandatory = True
    try:
        while True:
            router.send_multipart([identity.encode("utf-8"), b""])
            time.sleep(0.001)  # libzmq tells nobody when an identity becomes free
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise
    router.router_mandatory = False


def main():
    config = json.loads(sys.argv[1])
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.ipv6 = "[" in config["bind"]
    for option, value in (config.get("options") or {}).items():
        router.setsockopt(getattr(zmq, option), value)
    authenticator = protect(context, router, config)
    router.bind(config["bind"])
    report(endpoint=router.getsockopt_string(zmq.LAST_ENDPOINT))

    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    commands = sys.stdin.buffer.raw
    pending = b""
    echo = config.get("echo", False)
    while True:
        ready = dict(poller.poll())
        if router in ready:
            identity, *frames = router.recv_multipart()
            if echo:
                router.send_multipart([identity, *frames])
            else:
                report(**{"from": name(identity), "frames": [base64.b64encode(f).decode() for f in frames]})
        if commands.fileno() in ready:
            read = commands.read(65536)
            if not read:
                break
            pending += read
            *lines, pending = pending.split(b"\n")
            for line in lines:
                command = json.loads(line)
                if "quit" in command:
                    router.close()
                    if authenticator:
                        authenticator.stop()
                    context.term()
                    return
                if "await_gone" in command:
                    await_gone(router, command["await_gone"])
                    report(gone=command["await_gone"])
                if "send" in command:
                    message = command["send"]
                    frames = [base64.b64decode(f) for f in message["frames"]]
                    router.send_multipart([message["to"].encode("utf-8"), *frames])


main()
