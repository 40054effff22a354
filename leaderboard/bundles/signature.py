"""SSH signatures of submissions, made and verified by OpenSSH's ``ssh-keygen -Y``.

The signature of ``a-group.jsonl.gz`` is ``a-group.jsonl.gz.sig`` beside it. Whose it is, the
board's file of allowed signers says (the format is in ssh-keygen's manual, "ALLOWED SIGNERS"). So
the same can be checked without this program:

    ssh-keygen -Y verify -n submission@resonance-bench -f allowed_signers -I NAME \\
        -s a-group.jsonl.gz.sig < a-group.jsonl.gz
"""

import re
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from suite.core.errors import InvalidInput
from suite.core.files import read_regular

NAMESPACE = "submission@resonance-bench"
"""So that a signature made for another purpose is not one of a submission."""
SUFFIX = ".sig"
ALLOWED_SIGNERS = Path(__file__).parents[1] / "submissions" / "allowed_signers"
"""The signers that the project's own board knows."""
PROGRAM = "ssh-keygen"
MAX_SIGNATURE = 16 * 2**10
MAX_SIGNERS = 2**20
MAX_PACKED = 64 * 2**20
"""Largest size in bytes of a signature, of a file of allowed signers, and of a bundle."""
VERIFY_SECONDS = 30.0
FINGERPRINT = re.compile(r"with (\S+) key (SHA256:[A-Za-z0-9+/]{43})")

Status = Literal["unsigned", "signed", "unknown", "invalid", "unchecked"]


@dataclass(frozen=True)
class Signature:
    """What the signature of a file says.

    Attributes:
        status: unsigned; signed by a known signer; by an unknown one; invalid (the file or the
            signature was changed, or it is none); unchecked (OpenSSH is missing here).
        signer: the name in the file of allowed signers.
        key: type and fingerprint of the key.
        reason: why it is invalid, unknown or unchecked.
    """

    status: Status
    signer: str = ""
    key: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.status == "signed":
            return f"signed by {self.signer} ({self.key})"
        if self.status == "unknown":
            return f"signed with a key that this board does not know ({self.key}{self._because})"
        if self.status == "invalid":
            return f"the signature is not valid ({self.reason})"
        return f"signature not checked ({self.reason})" if self.reason else "not signed"

    @property
    def identity(self) -> str:
        """What tells its maker from others: the signer, else the key; empty without either."""
        return self.signer or self.key

    @property
    def _because(self) -> str:
        return f"; {self.reason}" if self.reason else ""


UNSIGNED = Signature("unsigned")


class InvalidSignature(InvalidInput):
    """A file has a signature that is not one of the file."""


def signature_path(file: Path) -> Path:
    """Return where the signature of a file is, if it has one."""
    return file.with_name(file.name + SUFFIX)


def read_signature(file: Path) -> bytes | None:
    """Return the signature beside a file; None if there is none.

    Raises:
        InvalidInput: it cannot be read, or is too large for one.
    """
    path = signature_path(file)
    try:
        return read_regular(path, MAX_SIGNATURE)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InvalidInput(
            f"signature {path} cannot be read ({error.strerror}): remove it, or sign again"
        ) from error


def sign(content: bytes, key: Path) -> bytes:
    """Return a signature of `content`.

    `key` is a private key, or a public one whose private key is in the SSH agent; ssh-keygen asks
    for a passphrase on the terminal.

    Raises:
        InvalidInput: ssh-keygen is not installed, or does not sign with that key.
    """
    if not key.is_file():
        raise InvalidInput(f"--sign {key}: there is no such file: give the path of an SSH key")
    try:
        made = _run(["sign", "-n", NAMESPACE, "-f", str(key.absolute())], content, timeout=None)
    except OSError as error:
        raise InvalidInput(f"--sign needs OpenSSH's {PROGRAM}: {error.strerror}") from error
    if made.returncode or not made.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise InvalidInput(
            f"--sign {key}: {PROGRAM} does not sign with it ({_last_line(made.stderr)}): give a "
            "private key, or a public one whose private key is in the SSH agent"
        )
    return made.stdout


def verify(content: bytes, signature: bytes | None, signers: Path) -> Signature:
    """Return whose signature of `content` this is, by a file of allowed signers.

    Raises:
        InvalidInput: the file of allowed signers cannot be read.
    """
    if signature is None:
        return UNSIGNED
    allowed = _allowed(signers)
    with tempfile.TemporaryDirectory(prefix="resonance-signature-") as folder:
        made, known = Path(folder) / "signature", Path(folder) / "allowed_signers"
        made.write_bytes(signature)
        known.write_bytes(allowed)
        try:
            return _verify(content, str(made), str(known))
        except (OSError, subprocess.TimeoutExpired) as error:
            what = getattr(error, "strerror", None) or f"no answer in {VERIFY_SECONDS:g} s"
            return Signature("unchecked", reason=f"{PROGRAM}: {what}")


def signature_of(file: Path, signers: Path = ALLOWED_SIGNERS) -> Signature:
    """Return whose signature a file has beside it, by a file of allowed signers.

    Raises:
        InvalidInput: the file, its signature or the file of allowed signers cannot be read.
    """
    if (signature := read_signature(file)) is None:
        return UNSIGNED
    return verify(read_packed(file), signature, signers)


def read_packed(file: Path) -> bytes:
    """Return a bundle's bytes, which are what is signed.

    Raises:
        InvalidInput: it cannot be read, or is larger than `MAX_PACKED`.
    """
    try:
        return read_regular(file, MAX_PACKED)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error


def _verify(content: bytes, made: str, known: str) -> Signature:
    sound = _run(["check-novalidate", "-n", NAMESPACE, "-s", made], content)
    if sound.returncode:
        return Signature("invalid", reason=_last_line(sound.stderr) or "it cannot be verified")
    match = FINGERPRINT.search(sound.stdout.decode(errors="replace"))
    key = f"{match[1]} {match[2]}" if match else ""
    found = _run(["find-principals", "-s", made, "-f", known], b"")
    names = [] if found.returncode else found.stdout.decode(errors="replace").splitlines()
    reason = ""
    for name in dict.fromkeys(names):
        if name.startswith("!") or not name.isprintable():
            continue
        proven = _run(["verify", "-n", NAMESPACE, "-s", made, "-f", known, "-I", name], content)
        if proven.returncode == 0:
            is_pattern = bool(set(name) & set("*?"))
            return Signature("signed", f"one of {name}" if is_pattern else name, key)
        reason = _last_line(proven.stderr).replace(known, "the file of signers")  # expired, say
    return Signature("unknown", key=key, reason=reason)


def _allowed(signers: Path) -> bytes:
    try:
        return read_regular(signers.resolve(), MAX_SIGNERS)
    except OSError as error:
        raise InvalidInput(
            f"--signers {signers} cannot be read ({error.strerror}): give a file of allowed signers"
        ) from error


def _run(
    options: Iterable[str], content: bytes, timeout: float | None = VERIFY_SECONDS
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [PROGRAM, "-Y", *options], input=content, capture_output=True, timeout=timeout, check=False
    )


def _last_line(output: bytes) -> str:
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    text = " ".join(lines[-1].split())[:200] if lines else ""
    return "".join(c for c in text if c.isprintable())
