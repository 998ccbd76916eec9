"""What containers are made from: busybox, socat, and a server that says who its client is.

Nothing is fetched: the programs are those of the host, socat with the libraries that ldd(1) names.
"""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

HTTP_PORT, UDP_PORT = 8000, 5000
GREETING = "hello from inside"
CLIENT_PATH = "cgi-bin/client"
SERVER = "bin/serve"  # takes the root of the file system that it is in, by default /

_APPLETS = (
    *("cat", "grep", "hostname", "id", "ip", "ls", "nslookup", "ping", "readlink", "sh"),
    *("sha256sum", "sleep", "true", "wget"),
)
# HTTP: a greeting, and at CLIENT_PATH the client's address. UDP: the client's address.
_SERVE = f"""#!/bin/sh
socat UDP-RECVFROM:{UDP_PORT},fork 'SYSTEM:printf %s $SOCAT_PEERADDR' &
exec busybox httpd -f -p {HTTP_PORT} -h "$1/www"
"""
_CLIENT = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$REMOTE_ADDR"
"""
_PASSWD = "root:x:0:0:root:/:/bin/sh\n"


def make_root(root: Path) -> None:
    """Make the root file system of a container."""
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "www/cgi-bin"):
        (root / name).mkdir(parents=True)
    for program in ("busybox", "socat"):
        shutil.copy(_path_of(program), root / "bin" / program)
    for applet in _APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    for library in _libraries("socat"):
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, place)
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "www/index.html").write_text(GREETING)
    for name, script in ((SERVER, _SERVE), (f"www/{CLIENT_PATH}", _CLIENT)):
        (root / name).write_text(script)
        (root / name).chmod(0o755)


def write_archive(root: Path, path: Path) -> None:
    """Write a root file system, all of it root's, as a tar archive."""

    def owned_by_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        return entry

    with tarfile.open(path, "w") as archive:
        archive.add(root, ".", filter=owned_by_root)


def _path_of(program: str) -> str:
    path = shutil.which(program)
    assert path is not None
    return path


def _libraries(program: str) -> list[str]:
    """The paths of the shared libraries of a program, and of its interpreter."""
    words = ["ldd", _path_of(program)]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", said)
