"""The inference process: the only one that imports torch. so101_policy.inference starts it.

It speaks JSON messages over a socket that keeps their bounds, images come through Frames:

    <- {"checkpoint": path, "device": .., "threads": ..}   once
    -> {"warm": seconds, "guided": true}                    once, when it is ready
    <- {"state": [6], "task": "..", "guidance": {..}}       the images lie in Frames
    -> {"actions": [[6], ...], "seconds": ..}               dataset units
    <- {"reset": true}
    -> {"error": ".."}                                      and the process ends

It ends when the other side of the socket is gone, and at once when its parent dies.
"""

import json
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from so101_node.error import UserError
from so101_node.lifetime import signal_with_parent
from so101_policy import checkpoint
from so101_policy.frames import Frames
from so101_policy.schedule import Guidance

# Of one message; a chunk of 1000 actions is 120 kB.
MESSAGE_BYTES = 1 << 18


def main() -> None:
    signal_with_parent(signal.SIGKILL)  # also amid a long inference
    channel = socket.socket(fileno=int(sys.argv[1]))
    frames = Frames(int(sys.argv[2]))

    def tell(message: dict[str, Any]) -> None:
        channel.send(json.dumps(message).encode())

    try:
        began = time.perf_counter()
        from so101_policy.loaded_policy import LoadedPolicy  # seconds of imports

        wanted = json.loads(channel.recv(MESSAGE_BYTES))
        policy = LoadedPolicy(
            checkpoint.read(Path(wanted['checkpoint'])), wanted['device'], wanted['threads']
        )
        tell({'warm': time.perf_counter() - began, 'guided': policy.guided})
        while request := channel.recv(MESSAGE_BYTES):
            asked = json.loads(request)
            if 'reset' in asked:
                policy.reset()
                continue
            began = time.perf_counter()
            guidance = asked.get('guidance')
            actions = policy.predict(
                frames.pixels,
                np.array(asked['state']),
                asked['task'],
                guidance
                and Guidance(np.array(guidance['prefix']), guidance['delay'], guidance['horizon']),
            )
            tell({'actions': actions.tolist(), 'seconds': time.perf_counter() - began})
    except UserError as error:
        tell({'error': str(error)})
        sys.exit(1)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the parent went away


if __name__ == '__main__':
    main()
