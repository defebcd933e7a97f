"""Remakes notebooks from their scripts: `python notebooks/remake.py [NN_name ...]`.

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
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                png = small(base64.b64decode(output.data["image/png"]))
                output.data["image/png"] = base64.b64encode(png).decode()
                if "cover" in cell.metadata.get("tags", []):
                    (HERE / "figures" / f"{script.stem}.png").write_bytes(png)
    nbformat.write(notebook, script.with_suffix(".ipynb"))


def small(png: bytes) -> bytes:
    """A figure in 128 colours, a third of its size."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(128)
    picture.save(out := io.BytesIO(), "PNG", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    (HERE / "figures").mkdir(exist_ok=True)
    for path in sorted(HERE.glob("[0-9]*.py")):
        if path.stem in sys.argv[1:] or not sys.argv[1:]:
            print(path.name)
            remake(path)
