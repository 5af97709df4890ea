"""As much of SVG as the charts need, in a light and a dark dress."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colours of one dress."""

    name: str
    background: str
    text: str
    muted: str
    grid: str
    #: This server.
    accent: str
    #: The others, where a bar's place says who it is.
    neutral: str
    #: The others, where only colour does.
    lines: tuple[str, ...]


THEMES = (
    Theme(
        name="light", background="#ffffff", text="#1f2328", muted="#59636e", grid="#e4e7eb",
        accent="#0969da", neutral="#b6bec8",
        lines=("#8a929c", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#9a6700", "#0c7c86", "#cf222e"),
    ),
    Theme(
        name="dark", background="#0d1117", text="#e6edf3", muted="#9198a1", grid="#262c36",
        accent="#58a6ff", neutral="#4b5563",
        lines=("#8b949e", "#f0883e", "#56d364", "#bc8cff", "#f778ba", "#e3b341", "#39c5cf", "#ff7b72"),
    ),
)


@dataclass
class Drawing:
    """Shapes, collected; `text()` is the finished document."""

    width: float
    height: float
    theme: Theme
    #: Read out in place of the picture.
    title: str
    _shapes: list[str] = field(default_factory=list)

    def rectangle(self, x: float, y: float, width: float, height: float, colour: str, radius: float = 0) -> None:
        """A filled rectangle."""
        self._shapes.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'rx="{radius}" fill="{colour}"/>'
        )

    def line(self, points: list[tuple[float, float]], colour: str, width: float = 1, dash: str = "") -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._shapes.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" '
            f'stroke-linejoin="round"{dashes}/>'
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 3) -> None:
        """A point of a curve."""
        self._shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>')

    def words(
        self, x: float, y: float, text: str, colour: str | None = None, *,
        size: float = 12, anchor: str = "start", bold: bool = False,
    ) -> None:
        """A line of text with its baseline at `y`."""
        weight = ' font-weight="600"' if bold else ""
        self._shapes.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
            f'fill="{colour or self.theme.text}"{weight}>{escape(text)}</text>'
        )

    def text(self) -> str:
        """The document."""
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" '
            f'width="{self.width:.0f}" height="{self.height:.0f}" role="img" '
            f'aria-label={quoteattr(self.title)} font-family="{_FONT}">',
            f'<rect width="100%" height="100%" fill="{self.theme.background}"/>',
            *self._shapes,
            "</svg>",
            "",
        ])
