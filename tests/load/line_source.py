"""Files, cut into pieces of whole lines."""

import os
import select
import stat
from collections import deque
from io import FileIO


def skip_lines(data: bytes, lines: int) -> int:
    """Where the line after the first @lines lines begins."""
    end = 0
    for _ in range(lines):
        end = data.index(b"\n", end) + 1
    return end


class LineSource:
    """The lines of all @paths ("-": standard input) in order. Holds about @piece_bytes, or one line if that is longer. Only
    the very last line may lack its line feed; other files' last lines are given one."""

    def __init__(self, paths: list[str], piece_bytes: int) -> None:
        self.paths = deque(paths)
        self.piece_bytes = piece_bytes
        self.total_bytes = sum(os.stat(path).st_size for path in paths if path != "-")
        self.read_bytes = 0
        self.ended = False  # no lines are left
        self.starved = False  # a pipe had nothing to read when last asked
        self.file: FileIO | None = None
        self.is_pipe = False
        self.head: list[bytes] = []  # the beginning of a line that is not whole yet
        self.ready = b""
        self.ready_lines = 0

    def fill(self) -> bool:
        """Prepares whole lines; returns false if there are none, see ended and starved."""
        while not self.ready_lines and not self.ended:
            if self.file is None:
                self.open_next()
                continue
            self.starved = self.is_pipe and not select.select([self.file], [], [], 0)[0]
            if self.starved:
                break
            data = self.file.read(self.piece_bytes) or b""
            self.read_bytes += len(data)
            cut = data.rfind(b"\n") + 1
            if cut:
                self.ready = b"".join([*self.head, data[:cut]])
                self.ready_lines = self.ready.count(b"\n")
                self.head = [data[cut:]]
            elif data:
                self.head.append(data)
            else:
                self.end_file()
        return self.ready_lines > 0

    def open_next(self) -> None:
        if not self.paths:
            self.ended = True
            return
        path = self.paths.popleft()
        self.file = FileIO(0, closefd=False) if path == "-" else FileIO(path)
        self.is_pipe = not stat.S_ISREG(os.fstat(self.file.fileno()).st_mode)

    def end_file(self) -> None:
        rest = b"".join(self.head)
        if rest:
            self.ready, self.ready_lines = rest + (b"\n" if self.paths else b""), 1
        self.head = []
        if self.file:
            self.file.close()
        self.file = None

    def take(self, limit: int | None = None) -> tuple[bytes, int]:
        """The next lines, at most @limit, and their number; only after fill() returned true."""
        data, lines = self.ready, self.ready_lines
        if limit is None or lines <= limit:
            self.ready, self.ready_lines = b"", 0
            return data, lines
        end = skip_lines(data, limit)
        self.ready, self.ready_lines = data[end:], lines - limit
        return data[:end], limit

    def count_rest(self) -> int:
        """The number of lines left, not counting those still to come through a pipe. Consumes them."""
        rest = 0
        while self.fill():
            rest += self.take()[1]
        return rest
