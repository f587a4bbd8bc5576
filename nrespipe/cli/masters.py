"""Commands for master calibrations."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nrespipe.analysis import master_list
from nrespipe.cli import options
from nrespipe.database import frames
from nrespipe.database.administration import opening
from nrespipe.database.states import Standing
from nrespipe.files import plain_table
from nrespipe.frames.raw import Kind
from nrespipe.service.masters import review
from nrespipe.service.operations import status

if TYPE_CHECKING:
    from nrespipe.settings import Settings

_FILE = click.Path(path_type=Path, dir_okay=False)
_WHY = click.option("--why", required=True, metavar="TEXT", help="The reason; it is stored.")


@click.group("masters")
def masters_group() -> None:
    """List, compare, draw and review master calibrations."""


@masters_group.command("list")
@options.output_option
@options.database_option
@click.option("--kind", type=click.Choice([str(k) for k in Kind if k is not Kind.SCIENCE]), help="Only this kind.")
@click.option("--site", default="", metavar="S", help="Only this site, e.g. lsc.")
@click.option("--every", is_flag=True, help="Also those that were replaced.")
@click.option("--from", "first_day", metavar="YYYYMMDD", default="", help="First night. Default: the last 14.")
@click.option("--to", "last_day", metavar="YYYYMMDD", default="", help="Last night.")
@options.format_option
@click.pass_obj
def list_command(
    given: "Settings",
    output: Path | None,
    database: str | None,
    kind: str | None,
    site: str,
    every: bool,
    first_day: str,
    last_day: str,
    form: plain_table.Form,
) -> None:
    """List the masters of the last nights, with the reason for the standing of each.

    \b
    Example:
      nrespipe masters list --output reduced --kind flat
      nrespipe masters list --from 20190101 --to 20190405 --output reduced
    """
    first_day, last_day = options.nights(first_day, last_day)
    with options.complaints(), opening.to_read(*options.places(given, output, database)).begin() as session:
        nights, cut = frames.last_nights(session, site, first_day, last_day)
        rows = master_list.listing(session, kind or "", every=every, **nights)
    click.echo(plain_table.listed(master_list.COLUMNS, rows, form))
    options.warn_of_earlier(cut)


@masters_group.command("show")
@click.argument("name")
@options.output_option
@options.database_option
@click.pass_obj
def show_command(given: "Settings", name: str, output: Path | None, database: str | None) -> None:
    """Show everything about the master NAME: standing, reason, inputs.

    \b
    Example:
      nrespipe masters show flat_lsc_nres01_fa09_20190405 --output reduced
    """
    output, given = options.places(given, output, database)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        lines = status.why(session, name, output.resolve())
    click.echo("\n".join(lines))


@masters_group.command("compare")
@click.argument("name")
@click.argument("other", default="")
@options.output_option
@options.database_option
@click.pass_obj
def compare_command(given: "Settings", name: str, other: str, output: Path | None, database: str | None) -> None:
    """Compare the master NAME with OTHER, or with the last good one of its camera.

    \b
    Example:
      nrespipe masters compare flat_lsc_nres01_fa09_20190406 --output reduced
    """
    output, given = options.places(given, output, database)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        lines = review.compare(session, name, output.resolve(), other)
    click.echo("\n".join(lines))


@masters_group.command("good")
@click.argument("name")
@_WHY
@options.output_option
@options.database_option
@click.pass_obj
def good_command(given: "Settings", name: str, why: str, output: Path | None, database: str | None) -> None:
    """Accept the master NAME, which needs review or was called bad.

    Stars that were reduced without it are reduced again when nothing else is due.

    \b
    Example:
      nrespipe masters good flat_lsc_nres01_fa09_20190406 --why "fiber cable moved" --output reduced
    """
    _decide(given, name, Standing.CURRENT, why, output, database)


@masters_group.command("bad")
@click.argument("name")
@_WHY
@options.output_option
@options.database_option
@click.pass_obj
def bad_command(given: "Settings", name: str, why: str, output: Path | None, database: str | None) -> None:
    """Reject the master NAME, and list the masters and the results that come from it.

    The service makes and reduces all these again when nothing else is due.

    \b
    Example:
      nrespipe masters bad flat_lsc_nres01_fa09_20190406 --why "lamp flickered" --output reduced
    """
    _decide(given, name, Standing.REJECTED, why, output, database)


@masters_group.command("plot")
@click.argument("name")
@click.option("-o", "--out", required=True, type=_FILE, metavar="FILE", help="The drawing, .pdf or .png.")
@options.output_option
@options.database_option
@click.pass_obj
def plot_command(given: "Settings", name: str, out: Path, output: Path | None, database: str | None) -> None:
    """Draw the master NAME.

    For a bias or dark its structure and its bad pixels; for a flat orders, profiles, blaze and flux; for an arc the
    residuals of its lines, the agreement of neighboring orders, and the resolution.

    \b
    Example:
      nrespipe masters plot arc_lsc_nres01_fa09_20190405 --output reduced -o arc.pdf
    """
    # the other commands read no FITS file, and start without astropy.io.fits
    from nrespipe.analysis import master_drawing

    if out.suffix not in (".pdf", ".png"):
        raise click.BadParameter(f"{out.name}: a drawing is a .pdf or a .png", param_hint="--out")
    output, given = options.places(given, output, database)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        written = master_drawing.draw_master(session, name, output.resolve(), out)
    click.echo("\n".join(map(str, written)))


@masters_group.command("region")
@click.argument("name")
@click.option("-o", "--out", required=True, type=_FILE, metavar="FILE", help="The region file, .reg.")
@options.output_option
@options.database_option
@click.pass_obj
def region_command(given: "Settings", name: str, out: Path, output: Path | None, database: str | None) -> None:
    """Write the orders of the master flat NAME as a region file, to lay over a raw frame in ds9.

    Each fiber has a color, each order its diffraction number; coordinates are those of the raw image.

    \b
    Example:
      nrespipe masters region flat_lsc_nres01_fa09_20190405 --output reduced -o orders.reg
    """
    from nrespipe.analysis import master_drawing

    output, given = options.places(given, output, database)
    with options.complaints(), opening.to_read(output, given).begin() as session:
        out.write_text(master_drawing.outline(session, name, output.resolve()), encoding="ascii")
    click.echo(out)


def _decide(
    given: "Settings", name: str, standing: Standing, why: str, output: Path | None, database: str | None
) -> None:
    with options.complaints(), opening.to_change(*options.places(given, output, database)).begin() as session:
        lines = review.decide(session, name, standing, why)
    if "nrespipe reprocess" in lines[-1]:
        # a command that can be pasted; a URL may contain a password
        lines[-1] += f" --output {shlex.quote(str(output))}" if output else ""
        lines[-1] += " --database URL" if database else ""
    click.echo("\n".join(lines))
