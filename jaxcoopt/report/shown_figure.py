"""Figures that a notebook draws by itself, with no pyplot and no magic."""

import base64
import html
import io
from typing import Any

from jaxcoopt.errors import require
from jaxcoopt.escaping import plain

Figure: Any = require("matplotlib.figure", extra="report").Figure
DPI = 100  # in a notebook


class ShownFigure(Figure):
    """Matplotlib's own, and a picture of itself where a notebook asks for one."""

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        self.savefig(stream, format="png", dpi=DPI)
        return stream.getvalue()


class Figures(dict[str, Any]):
    """Figures by name; a notebook shows all of them."""

    def _repr_html_(self) -> str:
        parts = []
        for name, figure in self.items():
            text = html.escape(plain(name))
            picture = base64.b64encode(figure._repr_png_()).decode("ascii")
            parts.append(f'<p>{text}<br><img alt="{text}" src="data:image/png;base64,{picture}"></p>')
        return "".join(parts) or "<p>no figures</p>"
