"""`ear-teacher keys`: make, list and remove API keys. A key is shown once; the file holds its hash."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """add, list and remove."""
    parser = argparse.ArgumentParser(prog="ear-teacher keys", description="Make, list and remove API keys.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    add = verbs.add_parser("add", help="make a key and show it, once")
    add.add_argument("name", help="who it is for; logs show this name")
    add.add_argument("--scopes", default="embed,search", help="of embed, search, write, admin (default embed,search)")
    add.add_argument("--rate-limit", metavar="RATE", help="such as 600/minute")
    remove = verbs.add_parser("remove", help="make a key worthless, also in a running service")
    remove.add_argument("name")
    for verb in (add, remove, verbs.add_parser("list", help="names, scopes and limits")):
        verb.add_argument("--file", type=Path, required=True, help="the key file (EAR_TEACHER_API_KEY_FILE)")
    return parser


def main(argv: list[str]) -> int:
    """Run the verb."""
    arguments = parser().parse_args(argv)
    if arguments.verb == "add":
        return _add(arguments)
    return _remove(arguments) if arguments.verb == "remove" else _list(arguments.file)


def _add(arguments: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from serve.errors import ConfigurationError
    from serve.http.api_keys import Key, KeyFile, hashed, new_key, read_keys

    held = read_keys(arguments.file) if arguments.file.exists() else KeyFile()
    if any(key.name == arguments.name for key in held.keys):
        raise ConfigurationError(f"{arguments.file} has a key {arguments.name!r} already; remove it first")
    made = new_key()
    fields = {
        "name": arguments.name,
        "sha256": hashed(made),
        "scopes": [scope.strip() for scope in arguments.scopes.split(",")],
        "rate_limit": arguments.rate_limit,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        held.keys.append(Key.model_validate(fields))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(f"{first['loc'][0]}: {first['msg']}") from None
    _write(arguments.file, held.model_dump_json(indent=1))
    print(made)
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    from serve.errors import ConfigurationError
    from serve.http.api_keys import KeyFile, read_keys

    held = read_keys(arguments.file) if arguments.file.exists() else KeyFile()
    kept = [key for key in held.keys if key.name != arguments.name]
    if len(kept) == len(held.keys):
        raise ConfigurationError(f"{arguments.file} has no key {arguments.name!r}")
    _write(arguments.file, KeyFile(keys=kept).model_dump_json(indent=1))
    return 0


def _list(path: Path) -> int:
    from serve.errors import ConfigurationError
    from serve.http.api_keys import read_keys

    if not path.exists():
        raise ConfigurationError(
            f"there is no key file {path}; make a key with: ear-teacher keys add NAME --file {path}"
        )
    for key in read_keys(path).keys:
        print(f"{key.name}\t{','.join(sorted(key.scopes))}\t{key.rate_limit or 'no limit'}\t{key.created}")
    return 0


def _write(path: Path, text: str) -> None:
    """All of the file or none of it, readable by its owner only."""
    from common.durable_files import write_atomically

    write_atomically(path, (text + "\n").encode(), mode=0o600)
