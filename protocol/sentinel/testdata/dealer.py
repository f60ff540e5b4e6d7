"""A DEALER on real libzmq, driven over stdin and stdout.

Arguments: endpoint, identity in base64.
Every line on stdin is a message to send, every line on stdout one that came: a JSON
list of frames in base64. The end of stdin closes the socket.
"""

import base64
import json
import sys

import zmq


def main():
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    dealer.setsockopt(zmq.IDENTITY, base64.b64decode(sys.argv[2]))
    dealer.connect(sys.argv[1])

    commands = sys.stdin.buffer.raw
    poller = zmq.Poller()
    poller.register(dealer, zmq.POLLIN)
    poller.register(commands.fileno(), zmq.POLLIN)
    pending = b""
    while True:
        ready = dict(poller.poll())
        if dealer in ready:
            frames = [base64.b64encode(f).decode() for f in dealer.recv_multipart()]
            sys.stdout.write(json.dumps(frames) + "\n")
            sys.stdout.flush()
        if commands.fileno() in ready:
            read = commands.read(65536)
            if not read:
                break
            pending += read
            *lines, pending = pending.split(b"\n")
            for line in lines:
                dealer.send_multipart([base64.b64decode(f) for f in json.loads(line)])
    dealer.close()
    context.term()


main()
