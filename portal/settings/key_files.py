"""PEM files with private and public keys for signing tokens in place of a secret: which keys are
suitable, and for which algorithm."""

import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

EDDSA, RS256 = "EdDSA", "RS256"
ALGORITHMS = (EDDSA, RS256)
SHORTEST_RSA_BITS = 2048
_LARGEST_FILE_BYTES = 64 * 1024

PrivateKey = Ed25519PrivateKey | RSAPrivateKey
PublicKey = Ed25519PublicKey | RSAPublicKey


class UnsuitableKey(Exception):
    """A file without a suitable key; the message says why."""


def read_private_key(path: str) -> PrivateKey:
    """The private key in a PEM file that is not world-readable. Raises UnsuitableKey."""
    content = _content(path)
    if Path(path).stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise UnsuitableKey(f"{path} is open to every user of the machine: chmod 600 {path}")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UnsuitableKey(f"{path} holds no private key in PEM without a passphrase.") from error
    if not isinstance(key, PrivateKey):
        raise UnsuitableKey(f"{path} holds neither an Ed25519 nor an RSA key.")
    algorithm_of(key.public_key(), path)
    return key


def read_public_key(path: str) -> PublicKey:
    """The public key in a PEM file. Raises UnsuitableKey."""
    try:
        key = load_pem_public_key(_content(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnsuitableKey(f"{path} holds no public key in PEM.") from error
    if not isinstance(key, PublicKey):
        raise UnsuitableKey(f"{path} holds neither an Ed25519 nor an RSA key.")
    algorithm_of(key, path)
    return key


def algorithm_of(key: PublicKey, path: str = "it") -> str:
    """The one algorithm for the key, whatever a token's header says. Raises UnsuitableKey."""
    if isinstance(key, Ed25519PublicKey):
        return EDDSA
    if key.key_size < SHORTEST_RSA_BITS:
        raise UnsuitableKey(f"{path} holds an RSA key of less than {SHORTEST_RSA_BITS} bits.")
    return RS256


def _content(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(_LARGEST_FILE_BYTES)
    except OSError as error:
        raise UnsuitableKey(f"{path} can't be read: {error.strerror}.") from error
