"""All rows from raw pixels to spectra: ``python benchmarks`` measures masters, traces and extraction in turn."""

import subprocess
import sys
from pathlib import Path

for name in ("masters", "traces", "extraction"):
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")], check=True)
