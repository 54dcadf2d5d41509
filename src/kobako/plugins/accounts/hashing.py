"""Hashes of passwords: argon2id for new ones; bcrypt, which accounts of Kinto have, is verified too.

Hashing takes tens of milliseconds by intent, so it runs in a few threads of its own: requests that need none go on.

Source: objects, 14.2; reliability, P9 and P10.
"""

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import argon2
import bcrypt

from kobako import ServiceUnavailable
from kobako.plugins.accounts.options import Options

THREADS: Final = min(4, os.cpu_count() or 1)

MOST_WAITING: Final = 256
"""How many passwords wait for a thread at most: who comes then is told to come later."""

BCRYPT_BYTES: Final = 72
"""What counts of a password for bcrypt, which refuses longer ones since its version 5."""

T = TypeVar("T")


class Hasher:
    """Makes and verifies hashes."""

    def __init__(self, options: Options) -> None:
        memory, rounds = options.argon2_memory_kib, options.argon2_rounds
        self._argon2 = argon2.PasswordHasher(time_cost=rounds, memory_cost=memory, parallelism=1)
        # Of no password, and as much work as any other.
        self._nobodys = f"$argon2id$v=19$m={memory},t={rounds},p=1${'A' * 22}${'A' * 43}"
        self._threads = ThreadPoolExecutor(THREADS, "kobako-passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Return the hash of a password of any length. Raises ServiceUnavailable where too many are waiting."""
        return await self._in_thread(lambda: self._argon2.hash(password))

    async def verify(self, password: str, hash: str | None) -> bool:
        """Tell whether a hash is this password's; for None, after as long a time, that it is not.

        Raises ServiceUnavailable where too many are waiting.
        """
        return await self._in_thread(lambda: self._fits(password, hash or self._nobodys))

    def is_outdated(self, hash: str) -> bool:
        """Tell whether a hash is of another kind than those that are made now."""
        return not hash.startswith("$argon2id$") or self._argon2.check_needs_rehash(hash)

    def _fits(self, password: str, hash: str) -> bool:
        if not hash.startswith("$2"):
            try:
                return self._argon2.verify(hash, password)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False
        try:
            return bcrypt.checkpw(password.encode()[:BCRYPT_BYTES], hash.encode())
        except ValueError:
            return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise ServiceUnavailable()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1
