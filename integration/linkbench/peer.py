"""The libzmq sides of the benchmark, as one program.

  peer.py router CURVE            a ROUTER that takes and gives as it is told
  peer.py dealer CURVE ENDPOINT   a DEALER that tells it, once for every line on stdin

CURVE is a JSON object of Z85 keys, or null: {"server": [public, secret], "client":
[public, secret]}. The router prints its endpoint. The dealer reads {"way": "there" or
"back", "messages": n, "size": bytes} and prints the seconds that it took.

A message has two frames, 16 bytes and `size` bytes. Before them goes a request:

  ["there", n]        the dealer sends n messages, then the router answers ["done"]
  ["back", n, size]   the router sends n messages
"""

import json
import sys
import time

import zmq

HEADER = b"h" * 16


def socket(kind, curve, role):
    made = zmq.Context.instance().socket(kind)
    made.linger = 0
    if curve:
        made.curve_publickey, made.curve_secretkey = (key.encode() for key in curve[role])
        if role == "server":
            made.curve_server = True
        else:
            made.curve_serverkey = curve["server"][0].encode()
    return made


def router(curve):
    served = socket(zmq.ROUTER, curve, "server")
    served.router_mandatory = True  # a full queue makes it wait, not drop
    served.bind("tcp://127.0.0.1:*")
    print(json.dumps(served.getsockopt_string(zmq.LAST_ENDPOINT)), flush=True)
    while True:
        peer, way, *rest = served.recv_multipart()
        n = int(rest[0])
        if way == b"there":
            for _ in range(n):
                served.recv_multipart()
            served.send_multipart([peer, b"done"])
        else:
            body = bytes(int(rest[1]))
            for _ in range(n):
                served.send_multipart([peer, HEADER, body])


def dealer(curve, endpoint):
    connected = socket(zmq.DEALER, curve, "client")
    connected.identity = b"pyzmq"
    connected.connect(endpoint)
    for line in sys.stdin:
        task = json.loads(line)
        n, size = task["messages"], task["size"]
        body = bytes(size)
        began = time.perf_counter()
        if task["way"] == "there":
            connected.send_multipart([b"there", b"%d" % n])
            for _ in range(n):
                connected.send_multipart([HEADER, body])
            connected.recv_multipart()
        else:
            connected.send_multipart([b"back", b"%d" % n, b"%d" % size])
            for _ in range(n):
                connected.recv_multipart()
        print(json.dumps(time.perf_counter() - began), flush=True)


if sys.argv[1] == "router":
    router(json.loads(sys.argv[2]))
else:
    dealer(json.loads(sys.argv[2]), sys.argv[3])
