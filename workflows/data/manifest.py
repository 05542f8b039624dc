"""The manifest: every usable image of a source once, with its class, size and hash."""

import csv
import io
import os
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from tqdm import tqdm

from ipt_models.files import replacing
from workflows.data.containers import Entry
from workflows.data.inspection import Finding, inspect_all
from workflows.data.pairs import list_pairs
from workflows.data.sources import list_images
from workflows.readers import read_csv

COLUMNS = ["path", "class", "width", "height", "bytes", "sha256"]
ARCHIVE_COLUMNS = ["archive", "offset"]  # present where images lie in containers
PAIR_COLUMNS = ["input", "input_sha256"]  # present where images come in pairs; `path` is the target's
REJECTED_COLUMNS = ["path", "bytes", "sha256", "reason"]
TOO_SMALL = "too small"

_SPECIAL = re.compile('[",\r\n]')
DUPLICATE = "the same file as"


class UndecodableError(ValueError):
    """More undecodable images than are allowed.

    Attributes:
        rejected: the images rejected so far; `REJECTED_COLUMNS`.
    """

    def __init__(self, message: str, rejected: pd.DataFrame) -> None:
        super().__init__(message)
        self.rejected = rejected


class Pairs(NamedTuple):
    """How a source's pairs are found: see `pairs.list_pairs`; a target is `scale` times as large as its input."""

    inputs: str
    targets: str
    scale: int = 1


class Scan(NamedTuple):
    """What a source holds.

    Attributes:
        images: the usable images, sorted by path; `COLUMNS`, and `ARCHIVE_COLUMNS` if they apply.
        rejected: all others, sorted by path; `REJECTED_COLUMNS`.
        notes: see `sources.Listing`.
    """

    images: pd.DataFrame
    rejected: pd.DataFrame
    notes: list[str]


def scan(
    root: Path,
    min_side: int = 1,
    max_undecodable: float = 0.01,
    journal: Path | None = None,
    threads: int | None = None,
    pairs: Pairs | None = None,
) -> Scan:
    """Read and check every image of a source, in parallel.

    Args:
        root: of the source, see `sources.list_images`.
        min_side: images with a shorter side are rejected: scale times patch size of the experiment's largest task.
        max_undecodable: the fraction of images that may be undecodable (too small ones do not count).
        journal: a file that records findings as they are made and is read again after an interruption. The caller removes it
            once the result is written.
        threads: number of reading processes; None: one per processor.
        pairs: how to find the pairs of a source of pairs.

    Raises:
        FileNotFoundError: if there are no images.
        UndecodableError: if too many images are undecodable.
        ValueError: if no image is usable, or naming pairs whose sizes do not fit.
    """
    listing = list_pairs(root, pairs.inputs, pairs.targets) if pairs else list_images(root)
    findings = _findings(Path(root), listing.entries, max_undecodable, journal, threads)
    if pairs:
        _check_sizes(listing.entries, findings, pairs.scale)
    usable, first = [], {}
    rejected = [(path, size, "", reason) for path, size, reason in listing.rejected]
    for entry in listing.entries:
        finding = findings[entry.path]
        reason = finding.reason
        if not reason and min(finding.width, finding.height) < min_side:
            reason = f"{TOO_SMALL}: {finding.width}x{finding.height}, needs {min_side} pixels a side"
        # Only one of equal images is kept, so that none is both trained on and held out. Pairs may share a target; the
        # command `fraction` leaves out those whose target is held out.
        content = (finding.sha256, finding.input_sha256)
        if not reason and (other := first.setdefault(content, entry.path)) != entry.path:
            reason = f"{DUPLICATE} {other}"
        if reason:
            rejected.append((entry.path, finding.bytes, finding.sha256, reason))
        else:
            usable.append(
                (entry.path, entry.category, *finding[:4], entry.archive, entry.offset, entry.input, finding[-1])
            )
    if not usable:
        raise ValueError(
            f"none of the {len(listing.entries)} images under {root} is usable; the first, {rejected[0][0]}: "
            f"{rejected[0][-1]}"
        )
    images = pd.DataFrame(usable, columns=[*COLUMNS, *ARCHIVE_COLUMNS, *PAIR_COLUMNS])
    columns = COLUMNS + (ARCHIVE_COLUMNS if images["archive"].any() else []) + (PAIR_COLUMNS if pairs else [])
    return Scan(images[columns], pd.DataFrame(sorted(rejected), columns=REJECTED_COLUMNS), listing.notes)


def _check_sizes(entries: list[Entry], findings: dict[str, Finding], scale: int) -> None:
    misfits = []
    for entry in entries:
        finding = findings[entry.path]
        fits = (finding.width, finding.height) == (scale * finding.input_width, scale * finding.input_height)
        if not finding.reason and not fits:
            misfits.append(
                f"{entry.path} has {finding.width}x{finding.height} pixels and its input {entry.input} "
                f"{finding.input_width}x{finding.input_height}"
            )
    if misfits:
        raise ValueError(
            f"{len(misfits)} of {len(entries)} pairs do not fit: a target has to be {scale} times as large as its input. "
            f"{'; '.join(misfits[:3])}{'; …' if len(misfits) > 3 else ''}"
        )


def read_table(path: Path) -> pd.DataFrame:
    """Read a manifest, a fraction of one, or its validation part.

    Raises:
        InputError: if it is damaged or lacks a column.
    """
    text = dict.fromkeys(("path", "class", "sha256", "archive", "input", "input_sha256"), str)
    return read_csv(path, COLUMNS, dtype=text, keep_default_na=False)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, atomically."""
    columns = [_quoted(table[column].astype(str).tolist()) for column in table]
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        file.write(",".join(table.columns) + "\n")
        file.writelines(f"{','.join(row)}\n" for row in zip(*columns, strict=True))


def _quoted(texts: list[str]) -> list[str]:
    """Quote values where CSV requires it. Testing a whole column at once makes writing ImageNet's table four times faster."""
    if not _SPECIAL.search("".join(texts)):
        return texts
    return ['"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text for text in texts]


def _findings(
    root: Path, entries: list[Entry], max_undecodable: float, journal: Path | None, threads: int | None
) -> dict[str, Finding]:
    findings = _read_journal(journal, entries) if journal else {}
    if findings:
        print(f"manifest: {len(findings)} of {len(entries)} images are known from {journal}", file=sys.stderr)
    unread = [entry for entry in entries if entry.path not in findings]
    bad = [
        (path, finding.bytes, finding.sha256, finding.reason) for path, finding in findings.items() if finding.reason
    ]
    interval = 0.5 if sys.stderr.isatty() else 30
    bar = tqdm(total=len(entries), initial=len(findings), unit="image", desc="manifest", mininterval=interval)
    reported, started, done = 10 * len(findings) // len(entries), time.perf_counter(), 0
    with open(journal or os.devnull, "a", newline="", encoding="utf-8") as log, bar:
        for chunk, found_in_it in inspect_all(root, unread, threads or os.cpu_count()):
            for entry, finding in zip(chunk, found_in_it, strict=True):
                findings[entry.path] = finding
                if finding.reason:
                    bad.append((entry.path, finding.bytes, finding.sha256, finding.reason))
                _write_journal(log, entry, finding)
            log.flush()
            bar.update(len(chunk))
            done += len(chunk)
            if len(bad) > max_undecodable * len(entries):
                path, *_, reason = bad[0]
                raise UndecodableError(
                    f"{len(bad)} of {len(entries)} images under {root} are undecodable, more than the "
                    f"{max_undecodable:.2%} allowed; the first is {path}: {reason}. Repair the source, or raise "
                    "data.max_undecodable (--max-undecodable)",
                    pd.DataFrame(bad, columns=REJECTED_COLUMNS),
                )
            tenths = 10 * len(findings) // len(entries)
            if reported < tenths < 10:  # where no progress bar is visible, for example in a workflow's log
                rate = done / (time.perf_counter() - started)
                left = (len(unread) - done) / rate / 60
                print(f"{10 * tenths} %  {rate:,.0f} images/s  {left:.0f} min left", flush=True)
            reported = tenths
    return findings


def _write_journal(log: io.TextIOBase, entry: Entry, finding: Finding) -> None:
    csv.writer(log, lineterminator="\n").writerow([*_key(entry), *finding, "."])


def _read_journal(journal: Path, entries: list[Entry]) -> dict[str, Finding]:
    """Findings that still hold: a file whose path, length, time or input has changed is read again."""
    if not journal.exists():
        return {}
    known = {entry.path: _key(entry) for entry in entries}
    findings, kinds = {}, [Finding.__annotations__[field] for field in Finding._fields]
    with open(journal, newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.reader(line for line in file if line.endswith(".\n")):  # a broken last line is skipped
            if len(row) == 7 + len(Finding._fields) and known.get(row[0]) == row[:6]:
                values = [kind(text) for kind, text in zip(kinds, row[6:-1], strict=True)]
                findings[row[0]] = Finding(*values)
    return findings


def _key(entry: Entry) -> list[str]:
    return [entry.path, entry.archive, str(entry.offset), str(entry.bytes), str(entry.modified), entry.input]
