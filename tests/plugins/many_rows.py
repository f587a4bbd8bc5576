"""Databases with as many rows as ten years of four sites have, filled in bulk."""

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count

from nrespipe.database.states import Standing, State
from nrespipe.database.tables.base import Row
from nrespipe.frames.raw import Kind

#: Sites with spectrograph and camera.
SITES = (("lsc", "nres01", "fa09"), ("elp", "nres02", "fa17"), ("cpt", "nres03", "fa13"), ("tlv", "nres04", "fa18"))
#: Frames of each kind in a night of a site: with ten years of four sites a million.
NIGHT = {Kind.BIAS: 10, Kind.DARK: 5, Kind.FLAT: 12, Kind.ARC: 10, Kind.SCIENCE: 31}
FRAMES_OF_NIGHT = sum(NIGHT.values())
#: Masters with which each kind of frame is reduced.
NEEDS = {Kind.BIAS: 0, Kind.DARK: 1, Kind.FLAT: 2, Kind.ARC: 3, Kind.SCIENCE: 4}
#: Frames that show each star, however many frames there are.
VISITS = 225
_CODES = {Kind.BIAS: "b", Kind.DARK: "d", Kind.FLAT: "w", Kind.ARC: "a", Kind.SCIENCE: "e"}
_NIGHTS_A_BATCH = 200
_MODE, _VERSION = "lco2_500kHz_1amp_DRH_B", "1.0.0"
#: The message of an archive about a frame has this length [character].
_BODY = 800
#: Of each many frames one ends so, and of each many masters.
_ENDS = ((301, State.BAD), (997, State.SKIPPED), (1999, State.FAILED))
_STANDINGS = ((67, Standing.REVIEW), (149, Standing.REJECTED), (331, Standing.FAILED))
#: Frames of the last nights that are due, that are due again when nothing else is, and that wait for a master.
DUE, AGAIN, WAITING = 300, 600, 30
#: Deliveries that were given up, and that are due.
GIVEN_UP, UNDELIVERED = 100, 50
_MEASURED = {f"number_{i}": 1.2345678901234 * i for i in range(12)}
_ACTIVITY = {name: [0.03773066165824592, 0.0008470325949667488] for name in ("s_index", "h_alpha", "na_d", "dlw")}
_FINDINGS = [
    {"name": f"n{i}", "value": 2.2, "usual": 3.0, "worst": 5.0, "verdict": "accepted", "known": False} for i in range(4)
]
COLUMNS = {
    "frames": "id filename path md5 version kind site instrument camera day binning readout_mode objects start_mjd"
    " exposure_s state reason body quality code_version created updated owner lease next_try sent tries low_priority",
    "masters": "id kind site instrument camera binning readout_mode day fibers path md5 mean_mjd n_inputs quality"
    " standing reason findings traceback code_version created",
    "attempts": "id frame_id started finished outcome reason traceback code_version measurements",
    "products": "id frame_id attempt_id path level md5",
    "deliveries": "id product_id delivered reason next_try sent tries",
    "velocities": "id frame_id fiber object object_key star_key star mask bjd_tdb rv_ms rv_err_ms photon_err_ms"
    " wavelength_err_ms drift_err_ms mask_err_ms berv_ms drift_ms snr fwhm_ms contrast bisector_ms quality teff_k"
    " vsini_ms activity",
    "drifts": "id frame_id mid_mjd velocity_ms velocity_err_ms shift_px shift_err_px n_lines pressure_psi"
    " temperature_c arc",
    "stackings": "id kind site instrument camera binning readout_mode day next_try sent tries",
    "summaries": "id site day written mailed tries next_try",
    "attempt_masters": "attempt_id master_id",
    "master_inputs": "master_id frame_id",
    "master_parents": "master_id parent_id",
    "templates": "id star site instrument path md5 fingerprint teff_k spectral_type aliases inputs first_day last_day"
    " standing code_version created",
}


class _Rows:
    """Rows of one night after the other, as tuples in the order of `COLUMNS`."""

    def __init__(self, n_frames, now):
        self.now, self.n_frames = now, n_frames
        self.n_stars = max(n_frames * NIGHT[Kind.SCIENCE] // FRAMES_OF_NIGHT // VISITS, 1)
        self.of = defaultdict(list)
        self.numbers = defaultdict(lambda: count(1))
        self.seen = 0

    def add(self, table, *values):
        number = next(self.numbers[table])
        self.of[table].append((number, *values))
        return number

    def night(self, day, site):
        """Add all rows of one night of one site; its end was `day` at noon."""
        masters, frames = {}, defaultdict(list)
        for kind, n in NIGHT.items():
            if kind is not Kind.SCIENCE:
                masters[kind] = self.master(kind, day, site, list(masters.values()))
            for i in range(n):
                frames[kind].append(self.frame(kind, day, site, i, masters))
        for kind, (master, *_) in masters.items():
            self.of["master_inputs"] += [(master, frame) for frame in frames[kind]]
        mailed = moment(day + timedelta(days=1))
        self.add("summaries", site[0], f"{day:%Y%m%d}", mailed, mailed, 1, None)

    def master(self, kind, day, site, parents):
        """Add a master, and that it was scheduled; return its key and its path."""
        name = f"{kind}_{'_'.join(site)}_{day:%Y%m%d}"
        place, made = ("1 1", _MODE, f"{day:%Y%m%d}"), moment(day + timedelta(days=1, hours=1))
        number = next(self.numbers["masters"])
        standing = next((word for every, word in _STANDINGS if number % every == 0), Standing.CURRENT)
        is_made = standing in (Standing.CURRENT, Standing.REVIEW)
        path = f"{site[0]}/{site[1]}/{day:%Y%m%d}/masters/{name}.fits.fz" if is_made else ""
        fibers, mjd = "012" if kind in (Kind.FLAT, Kind.ARC) else "", _mjd(day) + 0.1
        why = "" if standing is Standing.CURRENT else f"read noise 6.6 ADU; accepted: 5-9 ({number})"
        measured = (NIGHT[kind], 0, str(standing), why, json.dumps(_FINDINGS), "", _VERSION, made)
        self.of["masters"].append((number, str(kind), *site, *place, fibers, path, f"{number:032x}", mjd, *measured))
        self.of["master_parents"] += [(number, parent) for parent, *_ in parents]
        self.add("stackings", str(kind), *site, *place, None, made, 1)
        return (number, path)

    def frame(self, kind, day, site, i, masters):
        """Add a frame with all that belongs to it; return its key."""
        self.seen += 1
        number, name = self.seen, f"{site[0]}{site[1]}-{site[2]}-{day:%Y%m%d}-{self.seen % 10000:04d}-{_CODES[kind]}00"
        path = f"/data/{site[0]}/{site[1]}/{day:%Y%m%d}/raw/{name}.fits.fz"
        star = f"HD{10000 + number % self.n_stars}"
        objects = f"{star}&thar&none" if kind is Kind.SCIENCE else ""
        mjd, came = _mjd(day) + 0.2 + i * 0.004, day + timedelta(hours=6, minutes=6 * i)
        age = self.n_frames - number
        state = next((word for every, word in _ENDS if number % every == 0), State.DONE)
        low, next_try, tries = False, None, 1
        if age < DUE:
            state, next_try, tries = State.QUEUED, moment(self.now - timedelta(seconds=60 + age)), 0
        elif age < DUE + WAITING:
            state, next_try = State.WAITING, moment(self.now + timedelta(seconds=600))
        elif age < DUE + WAITING + AGAIN:
            low, next_try = True, moment(self.now - timedelta(seconds=60 + age))
        reason = "" if state in (State.DONE, State.QUEUED) else f"{name}: MJD-OBS is 88069.0; expected that of DATE-OBS"
        body = json.dumps({"path": path, "header": "x" * (_BODY - len(path))})
        where = (f"{day:%Y%m%d}", "1 1", _MODE, objects, mjd, 600.0)
        done = moment(came + timedelta(minutes=15))
        self.of["frames"].append((
            number, name, path, f"{number:032x}", 1, str(kind), *site, *where, str(state), reason, body, 0, _VERSION,
            moment(came), done, "", None, next_try, None, tries, low,
        ))  # fmt: skip
        if tries:
            outcome = State.DONE if low else state
            attempt = self.add(
                "attempts", number, moment(came), done, str(outcome), reason, "", _VERSION, json.dumps(_MEASURED)
            )
            used = list(masters.values())[: NEEDS[kind]]
            self.of["attempt_masters"] += [(attempt, master) for master, *_ in used]
            if kind is Kind.SCIENCE and outcome is State.DONE:
                self.result(number, attempt, path, star, mjd, masters[Kind.ARC][1], done, age)
        return number

    def result(self, number, attempt, path, star, mjd, arc, done, age):
        """Add the products of a science frame, their deliveries, and what was measured."""
        for level in ("L2", "L4"):
            file = path.replace("/raw/", "/processed/").replace("00.fits", f"91-{level}.fits")
            product = self.add("products", number, attempt, file[6:], level, f"{number:032x}")
            ended = (done, "", None, done, 1)
            if number % (self.n_frames // GIVEN_UP) < 2:
                ended = (None, "refused", None, done, 9)
            elif 0 <= age - DUE - WAITING < UNDELIVERED * 2:
                ended = (None, "", moment(self.now - timedelta(seconds=30)), None, 0)
            self.add("deliveries", product, *ended)
        rv = (mjd + 2400000.5, 16902.8185, 1.4618, 1.0816, 0.4569, 0.6939, 2.3007, 691.4692, 16.461, 116.36)
        rest = (7846.4198, 0.2875531, 64.1733, 0, 5799.5426, 3532.7961, json.dumps(_ACTIVITY))
        self.add("velocities", number, 0, star, star, star, star, "G2", *rv, *rest)
        self.add("drifts", number, mjd + 0.003, 16.461, 0.69, 0.011, 0.0005, 3000, 10.2, 19.8, arc)


def moment(when):
    """Return a moment in the form that both databases read."""
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")


def _mjd(day):
    return (day - datetime(1858, 11, 17, tzinfo=UTC)).total_seconds() / 86400


def _batches(n_frames, now):
    """Yield the rows of some nights at a time: a dictionary of lists by table."""
    rows = _Rows(n_frames, now)
    n_nights = -(-n_frames // FRAMES_OF_NIGHT)
    last = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    rows.n_frames = n_nights * FRAMES_OF_NIGHT
    for number in range(n_nights):
        # the sites take turns, the last night is the last row
        rows.night(last - timedelta(days=(n_nights - 1 - number) // len(SITES)), SITES[number % len(SITES)])
        if number % _NIGHTS_A_BATCH == _NIGHTS_A_BATCH - 1:
            yield rows.of
            rows.of = defaultdict(list)
    for number in range(min(rows.n_stars, 200)):
        star = f"HD{10000 + number}"
        inputs = json.dumps([f"lscnrs01-fa09-20190405-{i:04d}-e00" for i in range(20)])
        of = (f"templates/{star}.fits", "0" * 32, "f", 5700.0, "G2", "[]", inputs, "", "")
        rows.add("templates", star, "lsc", "nres01", *of, str(Standing.CURRENT), _VERSION, moment(now))
    yield rows.of


def fill(engine, n_frames, now=None):
    """Fill a database, whose tables are empty, with the rows of so many frames up to the last night.

    Parameters
    ----------
    engine
        Of SQLite or PostgreSQL.
    n_frames
        Rounded up to whole nights.
    now
        Present moment, UTC.
    """
    now = now or datetime.now(UTC)
    write = _copy if engine.dialect.name == "postgresql" else _insert
    with engine.connect() as opened:
        write(opened, _batches(n_frames, now))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as opened:
        opened.exec_driver_sql("vacuum analyze" if engine.dialect.name == "postgresql" else "analyze")


def _insert(opened, batches):
    driver = opened.connection.driver_connection
    driver.execute("pragma foreign_keys=off")
    driver.execute("pragma synchronous=off")
    for of in batches:
        driver.execute("begin")
        for table, rows in of.items():
            names = COLUMNS[table].split()
            marks = ", ".join("?" * len(names))
            driver.executemany(f"insert into {table} ({', '.join(names)}) values ({marks})", rows)
        driver.execute("commit")


def _copy(opened, batches):
    driver = opened.connection.driver_connection
    with driver.cursor() as cursor:
        # references are not looked up row by row, and indices are built once
        cursor.execute(
            "set session_replication_role = replica; set timezone = 'UTC'; set maintenance_work_mem = '256MB'"
        )
        indices = [index for table in Row.metadata.sorted_tables for index in table.indexes]
        for index in indices:
            cursor.execute(f"drop index {index.name}")
        for of in batches:
            for table, rows in of.items():
                with cursor.copy(f"copy {table} ({', '.join(COLUMNS[table].split())}) from stdin") as copy:
                    for row in rows:
                        copy.write_row(row)
        for table in COLUMNS:
            if COLUMNS[table].startswith("id "):
                cursor.execute(f"select setval(pg_get_serial_sequence('{table}', 'id'), (select max(id) from {table}))")
        driver.commit()
    for index in indices:
        index.create(opened)
    opened.commit()
