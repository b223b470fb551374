"""How clients prove to NATS who they are: passwords, and tokens (an operator, its accounts and their users). Ed25519 comes from
openssl."""

import base64
import binascii
import json
import os
import subprocess
import tempfile

PREFIX = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3
NO_LIMIT = -1


def checked(raw):
    """Text of a key: base32 of the bytes and their CRC-16."""
    raw += binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw).decode().rstrip("=")


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    def __init__(self, kind):
        self.kind, seed = kind, os.urandom(32)
        # PKCS #8 (RFC 8410)
        self.private = bytes.fromhex("302e020100300506032b657004220420") + seed
        public = self.openssl("pkey", "-inform", "DER", "-pubout", "-outform", "DER")[-32:]
        prefix = PREFIX[kind]
        self.public = checked(bytes([prefix]) + public)
        self.seed = checked(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + seed)

    def openssl(self, *arguments):
        return subprocess.run(["openssl", *arguments], input=self.private, check=True, stdout=subprocess.PIPE).stdout

    def sign(self, data):
        with tempfile.NamedTemporaryFile() as message:
            message.write(data)
            message.flush()
            return self.openssl("pkeyutl", "-sign", "-inkey", "/dev/stdin", "-keyform", "DER", "-rawin", "-in", message.name)

    def token(self, subject, **claims):
        """A token about the key @subject, signed by this one."""
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {"jti": os.urandom(8).hex(), "iat": 1700000000, "iss": self.public, "name": subject.kind, "sub": subject.public,
                "nats": {"type": subject.kind, "version": 2} | claims}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (head, body))
        return f"{text}.{base64url(self.sign(text.encode()))}"


class Operator:
    """An operator with one account for streams. @mappings: of subjects, in that account."""

    def __init__(self, mappings):
        self.key, system, self.account = Key("operator"), Key("account"), Key("account")
        limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage",
                                "streams", "consumer", "max_ack_pending"), NO_LIMIT) | {"wildcards": True}
        plain = {key: value for key, value in limits.items() if key not in ("mem_storage", "disk_storage", "streams", "consumer")}
        self.config = f"""
            operator: {self.key.token(self.key, system_account=system.public)}
            system_account: {system.public}
            resolver: MEMORY
            resolver_preload {{
                {system.public}: {self.key.token(system, limits=plain)}
                {self.account.public}: {self.key.token(self.account, limits=limits, mappings=mappings)}
            }}"""

    def user(self, publish=(), subscribe=()):
        """Who may publish and subscribe to these subjects; all, if there are none."""
        key, pub, sub = Key("user"), *({"allow": list(subjects)} if subjects else {} for subjects in (publish, subscribe))
        return User(key, self.account.token(key, pub=pub, sub=sub, subs=NO_LIMIT, data=NO_LIMIT, payload=NO_LIMIT))


class User:
    def __init__(self, key, token):
        self.key, self.token = key, token

    def options(self, nonce):
        """What a client sends when it connects."""
        return {"jwt": self.token, "sig": base64url(self.key.sign(nonce.encode()))}

    def file(self):
        """The text of the user's file of credentials."""
        return (f"-----BEGIN NATS USER JWT-----\n{self.token}\n------END NATS USER JWT------\n\n"
                f"-----BEGIN USER NKEY SEED-----\n{self.key.seed}\n------END USER NKEY SEED------\n")


class Password:
    """A user with a password."""

    def __init__(self, name, password):
        self.name, self.password = name, password

    def options(self, _nonce):
        return {"user": self.name, "pass": self.password}
