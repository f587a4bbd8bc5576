"""No query of service, commands or scrape reads a large part of a large table, however many frames there are."""

import logging

import many_rows
import pytest
import row_queries
import structlog
from servers import with_tables
from sqlalchemy import func, select

from nrespipe.database.tables import Row

N_FRAMES = 50_000
#: A table with more rows grows with the archive; and of such a table a statement reads less than this part: fourteen
#: nights of the 184 are 8 %.
LARGE, PART = 2000, 0.12
#: Most instructions of the virtual machine of SQLite for one statement; a scan of all frames needs half as many again.
STEPS = 220_000


@pytest.fixture(scope="module", autouse=True)
def quiet():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))


def filled(url):
    engine = with_tables(url).kw["bind"]
    many_rows.fill(engine, N_FRAMES)
    return engine


@pytest.fixture(scope="module")
def of_postgresql(postgres):
    engine = filled(postgres.create())
    with engine.connect() as opened:
        # of a million frames a scan costs so much more, and an index does not: plans as there
        opened.exec_driver_sql(f"alter database {engine.url.database} set seq_page_cost = 20")
        opened.commit()
    engine.dispose()
    with engine.connect() as opened:
        sizes = {
            table.name: opened.scalar(select(func.count()).select_from(table)) for table in Row.metadata.sorted_tables
        }
    yield engine, row_queries.Watch(engine), {name: size for name, size in sizes.items() if size > LARGE}
    engine.dispose()


@pytest.fixture(scope="module")
def of_sqlite(tmp_path_factory):
    engine = filled(f"sqlite:///{tmp_path_factory.mktemp('rows')}/rows.sqlite")
    yield engine, row_queries.Watch(engine)
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("name", row_queries.QUERIES)
def test_no_statement_on_postgresql_reads_a_large_part_of_a_large_table(of_postgresql, name):
    engine, watch, sizes = of_postgresql
    assert {"frames", "attempts", "products", "deliveries", "velocities", "drifts", "masters"} <= set(sizes)
    row_queries.measured(engine, watch, name, explain=True)
    assert watch.statements
    for statement in watch.statements:
        scanned = [node["Relation Name"] for node in statement.nodes() if node["Node Type"] == "Seq Scan"]
        assert not set(scanned) & set(sizes), statement.text
        for table, read in statement.examined().items():
            assert read < PART * sizes.get(table, read / PART + 1), f"{read} rows of {table}: {statement.text}"


@pytest.mark.slow
@pytest.mark.parametrize("name", row_queries.QUERIES)
def test_no_query_on_sqlite_needs_as_many_instructions_as_a_scan_of_all_frames(of_sqlite, name):
    engine, watch = of_sqlite
    row_queries.measured(engine, watch, name)
    assert watch.statements
    for statement in watch.statements:
        assert statement.steps < STEPS, statement.text


@pytest.mark.slow
def test_a_scan_of_a_large_table_is_seen(of_postgresql, of_sqlite):
    """The two tests above can fail."""
    engine, watch, sizes = of_postgresql
    with engine.connect() as opened, watch.watching(explain=True):
        opened.exec_driver_sql("select sum(exposure_s) from frames")
    (statement,) = watch.statements
    assert statement.examined()["frames"] == sizes["frames"] > 1 / PART * LARGE
    assert [node["Node Type"] for node in statement.nodes() if "Relation Name" in node] == ["Seq Scan"]
    engine, watch = of_sqlite
    with engine.connect() as opened, watch.watching():
        opened.exec_driver_sql("select sum(exposure_s) from frames where objects || reason || path = 'x'").all()
    (statement,) = watch.statements
    assert statement.steps > 1.5 * STEPS
