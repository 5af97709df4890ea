"""An application for the tests: python3 app.py SOCKET|PORT.

/        what `VERSION` says, and the number of the process
/wait    the same, once there is a file `go`
/ready   200 once there is a file `ready`, 503 before
/about   the user and the environment
/socket  101, and nothing more until the client has gone
/die     the process ends with status 3
"""

import os
import socket
import sys
import threading
import time

where = sys.argv[1]
if where.isdigit():
    listener = socket.create_server(("127.0.0.1", int(where)), backlog=100)
else:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen(100)


def content(path):
    if path == "/die":
        os._exit(3)
    while path == "/wait" and not os.path.exists("go"):
        time.sleep(0.01)
    if path == "/ready":
        return ("200 OK" if os.path.exists("ready") else "503 Not Yet"), "ready\n"
    if path == "/about":
        variables = "".join(f"{name}={value}\n" for name, value in os.environ.items())
        return "200 OK", f"uid {os.getuid()} groups {os.getgroups()}\n{variables}"
    return "200 OK", f"{os.environ.get('VERSION', 'none')} {os.getpid()}"


def answer(connection):
    stream = connection.makefile("rb")
    while line := stream.readline():
        while stream.readline() not in (b"\r\n", b""):
            pass
        if line.split()[1] == b"/socket":
            connection.sendall(b"HTTP/1.1 101 Then\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            stream.read()
            break
        status, text = content(line.split()[1].decode())
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n"
        connection.sendall((head + text).encode())
    connection.close()


print("listening", flush=True)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=answer, args=(connection,), daemon=True).start()
