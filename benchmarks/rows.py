"""Cost of the queries of service, commands and scrape against the number of frames in the database.

Starts a PostgreSQL of its own, fills it and an SQLite file with the rows of 10,000, 100,000 and 1,000,000 frames of
four sites (ten years), and does what each query does by its real function; every change is undone. Prints a table: for
PostgreSQL the slowest statement, by EXPLAIN (ANALYZE, BUFFERS), and the pages of 8 kB that it reads; for SQLite the
whole function. Then the bytes and rows of a frame.

``python benchmarks/rows.py`` takes a quarter of an hour, 1 GB of memory and 6 GB of the temporary directory, which are
free again at the end. ``--sizes`` takes other numbers of frames, ``--only`` the queries whose name has a word.
"""

import argparse
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import structlog

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/plugins"))
import many_rows
import row_queries
from servers import Postgres, with_tables

#: No statement is to take longer [ms].
TARGET_MS = 50.0
#: Each query is done so often; the fastest counts, because the machine is shared.
REPETITIONS = 3


def of_postgresql(engine, names):
    """Return statements, slowest statement [ms], its pages, and the whole function [ms] of each query."""
    watch, found = row_queries.Watch(engine), {}
    for name in names:
        whole = min(row_queries.measured(engine, watch, name) for _ in range(REPETITIONS))
        times, pages = [], []
        for _ in range(REPETITIONS):
            row_queries.measured(engine, watch, name, explain=True)
            slowest = max(watch.statements, key=lambda statement: statement.plan.get("Actual Total Time", 0.0))
            times.append(slowest.plan.get("Actual Total Time", 0.0))
            pages.append(max(statement.pages() for statement in watch.statements))
        found[name] = {"statements": len(watch.statements), "ms": min(times), "pages": min(pages), "whole_ms": whole}
    return found


def of_sqlite(engine, names):
    """Return the time of the whole function of each query [ms]."""
    watch = row_queries.Watch(engine)
    return {
        name: {"whole_ms": min(row_queries.measured(engine, watch, name) for _ in range(REPETITIONS))} for name in names
    }


def sizes(engine, n_frames):
    """Return lines with the rows and bytes of a frame, by table; bytes with the indices."""
    query = (
        "select relname, n_live_tup, pg_total_relation_size(relid), pg_indexes_size(relid) from pg_stat_user_tables"
        " where n_live_tup > 0 order by pg_total_relation_size(relid) desc"
    )
    with engine.connect() as opened:
        rows = opened.exec_driver_sql(query).all()
    lines = [f"{'table':18}{'rows a frame':>14}{'bytes a frame':>15}{'of these indices':>18}"]
    lines += [
        f"{name:18}{n / n_frames:14.3f}{size / n_frames:15.0f}{own / n_frames:18.0f}" for name, n, size, own in rows
    ]
    total = [sum(row[i] for row in rows) / n_frames for i in (1, 2, 3)]
    return [*lines, f"{'all':18}{total[0]:14.3f}{total[1]:15.0f}{total[2]:18.0f}"]


def measured(n_frames, names):
    """Fill both databases with so many frames; return the results of both, and the sizes."""
    with ExitStack() as stack:
        server = Postgres()
        stack.callback(server.remove)
        server.start()
        engine = with_tables(server.create()).kw["bind"]
        stack.callback(engine.dispose)
        many_rows.fill(engine, n_frames)
        by_server, of_frame = of_postgresql(engine, names), sizes(engine, n_frames)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        engine = with_tables(f"sqlite:///{folder}/rows.sqlite").kw["bind"]
        stack.callback(engine.dispose)
        many_rows.fill(engine, n_frames)
        by_file = of_sqlite(engine, names)
        file_bytes = Path(folder, "rows.sqlite").stat().st_size / n_frames
        return by_server, by_file, [*of_frame, f"SQLite: {file_bytes:.0f} bytes a frame"]


def table(found, numbers, names):
    """Return the lines of the table."""
    heads = "".join(f"{f'{n:.0e}':>9}" for n in numbers)
    lines = [
        f"{'':37}{'PostgreSQL: slowest statement [ms]':>{9 * len(numbers) + 3}}{'':>26}{'SQLite: function [ms]':>24}",
        f"{'query':37}{'stmts':>6}{heads}{'pages':>8}{'function [ms]':>15}{heads}  target",
    ]
    last = numbers[-1]
    for name in names:
        slow = "".join(f"{found[n][0][name]['ms']:9.1f}" for n in numbers)
        whole = "".join(f"{found[n][1][name]['whole_ms']:9.0f}" for n in numbers)
        of = found[last][0][name]
        met = "met" if of["ms"] <= TARGET_MS else "missed"
        lines.append(f"{name:37}{of['statements']:6d}{slow}{of['pages']:8d}{of['whole_ms']:15.0f}{whole}  {met}")
    return lines


def main():
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], metavar="N")
    parser.add_argument("--only", default="", metavar="WORD", help="only queries whose name has this word")
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    names = [name for name in row_queries.QUERIES if given.only in name]
    found = {}
    for n_frames in given.sizes:
        found[n_frames] = measured(n_frames, names)
        print(f"measured: {n_frames} frames", file=sys.stderr, flush=True)
    print("\n".join(table(found, given.sizes, names)))
    print("\n".join(["", f"a frame, of {given.sizes[-1]}:", *found[given.sizes[-1]][2]]))


if __name__ == "__main__":
    main()
