"""`ear-teacher gallery`: look at a gallery, back it up, carry it elsewhere, clean it. Everything that needs no model.

`stats`, `list`, `drift`, `backup` and `export` run beside a service that owns the gallery; the others own it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from index import command_calibrate


def parser() -> argparse.ArgumentParser:
    """One sub-verb per job; the gallery's folder comes first."""
    parser = argparse.ArgumentParser(prog="ear-teacher gallery", description="Look after a gallery of enrolled ears.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    add(verbs, "stats", "what it holds and how its neighbours are kept", json_flag)
    add(verbs, "list", "its items, one a line", json_flag, filters, limit)
    add(verbs, "backup", "a consistent copy while others write", target("a new folder for the backup"))
    add(verbs, "export", "Parquet and pictures, to carry elsewhere", target("a new folder for the archive"))
    add(verbs, "restore", "make a gallery from a backup or an archive", source)
    add(verbs, "delete", "delete items, or everything of a subject", what_to_delete)
    add(verbs, "duplicates", "ears that were enrolled twice", threshold)
    add(verbs, "drift", "whether what came in lately is unlike what was there before", json_flag, recent)
    add(verbs, "calibrate", command_calibrate.SUMMARY, command_calibrate.add_flags)
    add(verbs, "recall", "how many of the truly nearest ears its searches find", sample)
    return parser


def main(argv: list[str]) -> int:
    """Run a sub-verb."""
    args = parser().parse_args(argv)
    RUN[args.verb](args)
    return 0


def stats(args: argparse.Namespace) -> None:
    from index.opening import stats as read_stats

    facts = read_stats(args.gallery)
    if args.json:
        print(json.dumps(facts, indent=1))
        return
    size = f"{facts['size_bytes'] / 2**20:,.1f} MiB on disk"
    print(f"{facts['folder']}: {facts['items']:,} items of {facts['subjects']:,} subjects, {size}")
    for space in facts["spaces"]:
        print(f"  {space['state']:<9} {space['space_id']}  {space['items']:,} vectors of {space['dim']} numbers")
        print(f"            {snapshot_text(space['snapshot'])}")


def snapshot_text(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return "neighbours: not saved yet"
    words = f"neighbours: {facts.get('kind', 'exact')}, saved at change {facts['sequence']}"
    recall = facts.get("recall")
    return words + (f", recall@{recall['depth']} {recall['recall']:.3f} on {recall['sample']} ears" if recall else "")


def list_items(args: argparse.Namespace) -> None:
    from index.items import Filter
    from index.opening import open_read_only
    from index.store import rows

    sides = tuple(None if side == "unknown" else side for side in args.side)
    filter = Filter(subjects=tuple(args.subject), sides=sides, tags=tuple(args.tag))
    with open_read_only(args.gallery) as truth, truth.read() as connection:
        after, left = 0, args.limit
        while left and (page := rows.page(connection, after, min(left, 500), filter)):
            after, left = page[-1][0], left - len(page)
            for _, item in page:
                words = [item.id, item.subject or "-", item.side or "-", ",".join(item.tags) or "-", item.created]
                print(json.dumps(asdict(item)) if args.json else "\t".join([*words, item.source or "-"]))


def backup(args: argparse.Namespace) -> None:
    from index.tools.backup import backup as make

    facts = make(args.gallery, args.target)
    print(f"{facts.items:,} items up to change {facts.sequence} saved in {args.target} ({facts.size_bytes:,} bytes)")


def export(args: argparse.Namespace) -> None:
    from index.opening import open_read_only
    from index.tools.archive import export as write

    with open_read_only(args.gallery) as truth:
        print(f"{write(truth, args.target):,} items written to {args.target}")


def restore(args: argparse.Namespace) -> None:
    from index.tools import archive_restore, backup

    if (args.source / backup.MANIFEST).is_file():
        count = backup.restore(args.source, args.gallery).items
    else:
        count = archive_restore.restore(args.source, args.gallery)
    print(f"{count:,} items restored to {args.gallery}")


def delete(args: argparse.Namespace) -> None:
    from index.opening import open_existing

    with open_existing(args.gallery) as gallery:
        for item_id in args.id:
            gallery.delete(item_id)
        count = len(args.id) + sum(gallery.delete_subject(subject) for subject in args.subject)
    print(f"{count:,} items deleted from {args.gallery}; backups and archives made before still hold them")


def duplicates(args: argparse.Namespace) -> None:
    from index.opening import open_existing
    from index.tools.duplicates import find_duplicates

    with open_existing(args.gallery) as gallery:
        for pair in find_duplicates(gallery, args.threshold):
            why = "same picture" if pair.same_picture else "alike"
            print(f"{pair.similarity:.4f}\t{why}\t{pair.earlier.id}\t{pair.later.id}")


def recall(args: argparse.Namespace) -> None:
    from index.opening import open_existing

    with open_existing(args.gallery) as gallery:
        report = gallery.spaces.measure_recall(sample=args.sample)
    print(f"recall@{report.depth} {report.recall:.4f} on {report.sample} of {report.items:,} ears ({report.kind})")


def drift(args: argparse.Namespace) -> None:
    from index.drift import NOTHING, measure_drift
    from index.opening import open_read_only
    from index.store.space_rows import read_spaces

    with open_read_only(args.gallery) as truth, truth.read() as connection:
        active = next(space for space in read_spaces(connection).values() if space.state == "active")
        report, _ = measure_drift(connection, active.space_id, active.dim, args.recent)
    if args.json:
        print(json.dumps(asdict(report), indent=1))
        return
    if report.since is not None:
        print(f"{report.recent:,} ears since {report.since} beside {report.earlier:,} of those before:")
        print(f"  nearest ear of another subject   {report.nearest_recent:.3f} (before: {report.nearest_earlier:.3f})")
        print(f"  far from every earlier ear       {report.far_share:.0%} (where nothing changed: 5%)")
        print(f"  the mean embedding moved by      {report.moved:.2f} spreads")
    print("\n".join(report.advice or (NOTHING,)))


def add(verbs: Any, name: str, summary: str, *options: Callable[[argparse.ArgumentParser], object]) -> None:
    verb = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    verb.add_argument("gallery", type=Path, metavar="GALLERY", help="the gallery's folder")
    for option in options:
        option(verb)


def json_flag(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="JSON instead of text")


def filters(verb: argparse.ArgumentParser) -> None:
    group = verb.add_argument_group("which items (each may be given more than once)")
    group.add_argument("--subject", action="append", default=[], help="of one of these subjects")
    group.add_argument("--side", action="append", default=[], choices=("left", "right", "unknown"))
    group.add_argument("--tag", action="append", default=[], help="with all of these tags")


def limit(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--limit", type=int, default=1_000_000, metavar="ITEMS", help="at most so many (%(default)s)")


def target(help: str) -> Callable[[argparse.ArgumentParser], object]:
    return lambda verb: verb.add_argument("target", type=Path, metavar="TARGET", help=help)


def source(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("source", type=Path, metavar="SOURCE", help="the folder of a backup or an archive")


def what_to_delete(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--id", action="append", default=[], metavar="ITEM", help="an item's id (repeatable)")
    verb.add_argument("--subject", action="append", default=[], help="everything of this subject (repeatable)")


def threshold(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--threshold", type=float, default=0.99, metavar="COSINE", help="how alike (%(default)s)")


def sample(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--sample", type=int, default=200, metavar="EARS", help="stored ears to ask with (%(default)s)")


def recent(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--recent", type=int, default=200, metavar="EARS", help="how many are recent (%(default)s)")


RUN: dict[str, Callable[[argparse.Namespace], None]] = {
    "stats": stats,
    "list": list_items,
    "backup": backup,
    "export": export,
    "restore": restore,
    "delete": delete,
    "duplicates": duplicates,
    "drift": drift,
    "recall": recall,
    "calibrate": command_calibrate.calibrate,
}
