"""All rows from raw pixels to wavelengths: ``python benchmarks`` measures one after the other."""

import subprocess
import sys
from pathlib import Path

for name in ("masters", "traces", "extraction", "wavelengths"):
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py")], check=True)
