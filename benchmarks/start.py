"""CPU time of the start of the program: the command line and the imports, each in a process of its own.

Run ``python benchmarks/start.py [runs]``; five runs of each take half a minute.
"""

import resource
import statistics
import subprocess
import sys

COMMAND = "from nrespipe.cli import main; main(prog_name='nrespipe')"
_STARTS = (
    ("python -c pass", "pass", ()),
    ("nrespipe --version", COMMAND, ("--version",)),
    ("nrespipe --help", COMMAND, ("--help",)),
    ("nrespipe status --help", COMMAND, ("status", "--help")),
    ("import nrespipe.recipes.science", "import nrespipe.recipes.science", ()),
    ("import nrespipe.service.batch.night", "import nrespipe.service.batch.night", ()),
)


def cpu_s(code: str, words: tuple[str, ...]) -> float:
    """Return the CPU time, user and system, of a Python program that gets these words [second]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(runs: int) -> None:
    """Print the median and the extremes of each."""
    print(f"CPU of {runs} starts [s]           median  least   most")
    for name, code, words in _STARTS:
        cpu_s(code, words)  # the first one reads the disk and writes the bytecode
        taken = [cpu_s(code, words) for _ in range(runs)]
        print(f"{name:32}{statistics.median(taken):6.2f} {min(taken):6.2f} {max(taken):6.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
