"""A ROUTER on real libzmq, without handover, driven over stdin and stdout.

Arguments: one JSON object:
  {"bind": endpoint, "options": {"HEARTBEAT_IVL": 100, ...}, "echo": true}
With echo it sends every message back and reports none.

Every line on stdin is a JSON command, every line on stdout a JSON report:

  first          -> {"endpoint": ...}
  a message came -> {"from": identity, "frames": [base64, ...]}
                    (from is "base64:..." when it is not UTF-8)
  {"send": {"to": identity, "frames": [base64, ...]}}
  {"quit": true}  close in good order
"""

import base64
import json
import sys

import zmq


def report(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def name(identity):
    try:
        return identity.decode("utf-8")
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(identity).decode()


def main():
    config = json.loads(sys.argv[1])
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.ipv6 = "[" in config["bind"]
    for option, value in (config.get("options") or {}).items():
        router.setsockopt(getattr(zmq, option), value)
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
                    context.term()
                    return
                if "send" in command:
                    message = command["send"]
                    frames = [base64.b64decode(f) for f in message["frames"]]
                    router.send_multipart([message["to"].encode("utf-8"), *frames])


main()
