"""Remakes notebooks, with their outputs, from their scripts: `python notebooks/remake.py [NAME ...]`.

`NN_name.py` is the source. `NN_name.ipynb` is the same cells, executed in order, and
`figures/NN_name.png` the picture of its cell tagged `cover`, in few colours.
"""

import base64
import io
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent


def remake(script: Path) -> None:
    """Executes one script's cells and writes its notebook and its cover."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # not a random one: the same notebook is the same file
    options = {"timeout": 600, "kernel_name": "python3", "record_timing": False}
    NotebookClient(notebook, resources={"metadata": {"path": HERE}}, **options).execute()
    nbformat.write(notebook, script.with_suffix(".ipynb"))
    cover = next(c for c in notebook.cells if "cover" in c.metadata.get("tags", []))
    png = next(o.data["image/png"] for o in cover.outputs if "image/png" in o.get("data", {}))
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(64)
    picture.save(HERE / "figures" / f"{script.stem}.png", optimize=True)


if __name__ == "__main__":
    (HERE / "figures").mkdir(exist_ok=True)
    for path in sorted(HERE.glob("[0-9]*.py")):
        if path.stem in sys.argv[1:] or not sys.argv[1:]:
            print(path.name)
            remake(path)
