# SPDX-License-Identifier: GPL-2.0
"""The series on disk: what a step's file looks like, and git to go with it.

A step is a mail-like file, series/NN-slug.patch:

    Subject: KVM: Do something
    Date: ...

    Why it is done.
    ---
    new: tools/testing/selftests/kvm/x86/some_test.c

    diff --git ...          hunks in files that exist before this step

A file named by "new:" stands whole in the repository in its final form. If
later steps have hunks in it, the form in which it is introduced is the final
one with those hunks taken off again.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
SERIES = TOP / "series"
# The directories in which files of the kernel stand whole.
SLICE = ("virt", "arch", "include", "samples", "tools", "Documentation", "lib", "mm", "drivers")


class Failure(Exception):
    """One sentence that says what is wrong and what to do."""


def run_main(main):
    try:
        main()
    except OSError as error:
        sys.exit(f"{Path(sys.argv[0]).name}: {error}: free some space or mend the permissions, and try again")
    except Failure as failure:
        sys.exit(f"{Path(sys.argv[0]).name}: {failure}")


def git(*args, cwd, data=None, env=None, ok_to_fail=False):
    done = subprocess.run(["git", *args], cwd=cwd, input=data, capture_output=True,
                          env={**os.environ, **(env or {})})
    if done.returncode and not ok_to_fail:
        raise Failure(f"git {args[0]} failed in {cwd}: {done.stderr.decode().strip()}")
    return done if ok_to_fail else done.stdout


class Step:
    def __init__(self, path):
        self.path = path
        text = path.read_bytes()
        # The first line that is "---" ends the commit message.
        head, found, rest = text.partition(b"\n---\n")
        if not found:
            raise Failure(f"{path} has no line '---' after its commit message: add one")
        headers, _, body = head.partition(b"\n\n")
        fields = dict(re.findall(rb"^(\w+): (.*)$", headers, re.M))
        if b"Subject" not in fields or b"Date" not in fields:
            raise Failure(f"{path} begins with neither Subject: nor Date:, both are needed")
        body = body.strip(b"\n")
        self.message = fields[b"Subject"] + b"\n" + (b"\n" + body + b"\n" if body else b"")
        self.date = fields[b"Date"].decode()
        start = 0 if rest.startswith(b"diff --git ") else rest.find(b"\ndiff --git ") + 1
        before, self.diff = (rest, b"") if not start and not rest.startswith(b"diff") \
            else (rest[:start], rest[start:])
        self.new = [line[5:].decode() for line in before.splitlines() if line.startswith(b"new: ")]

    def diff_of(self, wanted):
        """The part of the hunks that is in the files for which wanted(path) is true."""
        parts = re.split(rb"(?m)^(?=diff --git )", self.diff)
        return b"".join(part for part in parts if part and wanted(path_of(part)))


def path_of(file_diff):
    line = file_diff.split(b"\n", 1)[0].decode()
    found = re.fullmatch(r"diff --git a/(.*) b/\1", line)
    if not found:
        raise Failure(f"not a file's hunks as 'make export' writes them: {line}")
    return found.group(1)


def steps():
    return [Step(path) for path in sorted(SERIES.glob("[0-9]*.patch"))]


def slice_files():
    """Every file of the kernel that stands whole in the repository."""
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
                 *[d for d in SLICE if (TOP / d).is_dir()], cwd=TOP) if any(
                     (TOP / d).is_dir() for d in SLICE) else b""
    return {name for name in listed.decode().split("\0") if name and (TOP / name).exists()}


def file_mode(path):
    return "100755" if os.access(path, os.X_OK) else "100644"
