// The canvas that records SVG: the output of each call, and errors at unsupported calls and values that are not finite.

import assert from "node:assert/strict";
import { escapeXml, svgCanvas } from "../../src/chart/svg_context.ts";
import { parseFont, textWidth } from "../../src/chart/text_width.ts";

// deno-lint-ignore no-explicit-any
type Context = any;

function drawn(draw: (context: Context) => void): string {
  const canvas = svgCanvas(100, 50, "c");
  draw(canvas.getContext("2d"));
  return canvas.elements();
}

Deno.test("paths have the transformation applied and one decimal", () => {
  const svg = drawn((context) => {
    context.save();
    context.translate(10, 20);
    context.rotate(Math.PI / 2);
    context.beginPath();
    context.moveTo(0, 0);
    context.lineTo(5, 0);
    context.lineTo(5, 1 / 3);
    context.closePath();
    context.strokeStyle = "rgba(255, 0, 16, 0.5)";
    context.setLineDash([2, 3]);
    context.stroke();
    context.restore();
    context.fillRect(0, 0, 1, 2);
  });
  assert.equal(
    svg,
    '<path d="M10,20 10,25 9.7,25Z" fill="none" stroke="#ff0010" stroke-opacity="0.5" stroke-dasharray="2 3"/>\n' +
      '<path d="M0,0 1,0 1,2 0,2Z" fill="#000000"/>',
  );
});

Deno.test("a full circle is two arcs, a line after an arc is a line, and fill and stroke of one path are one element", () => {
  const svg = drawn((context) => {
    context.beginPath();
    context.arc(10, 10, 5, 0, 2 * Math.PI);
    context.lineTo(20, 10);
    context.fillStyle = "#abc";
    context.fill();
    context.stroke();
  });
  assert.equal(
    svg,
    '<path d="M15,10A5,5 0 0 1 5,10A5,5 0 0 1 15,10L20,10" fill="#abc" stroke="#000000"/>',
  );
});

Deno.test("a counterclockwise quarter arc ends at the right point", () => {
  const svg = drawn((context) => {
    context.arc(0, 0, 10, 0, -Math.PI / 2, true);
    context.stroke();
  });
  assert.match(svg, /M10,0A10,10 0 0 0 7\.1,-7\.1A10,10 0 0 0 0,-10"/);
});

Deno.test("clips are defined once, nest, and end with restore", () => {
  const svg = drawn((context) => {
    for (let i = 0; i < 2; i++) {
      context.save();
      context.beginPath();
      context.rect(0, 0, 10, 10);
      context.clip();
      context.fillRect(1, 1, 2, 2);
      context.restore();
    }
    context.fillRect(3, 3, 1, 1);
  });
  assert.equal(svg.match(/<clipPath id="c0">/g)?.length, 1);
  assert.equal(svg.match(/clip-path="url\(#c0\)"/g)?.length, 2);
  assert.ok(!svg.split("\n").at(-1)!.includes("clip-path"));
});

Deno.test("text keeps its content, anchor, weight and rotation", () => {
  const svg = drawn((context) => {
    context.font = "italic bold 20px Arial, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.translate(50, 25);
    context.rotate(-Math.PI / 2);
    context.fillText("a < b & c", 0, 0);
  });
  assert.equal(
    svg,
    '<text x="57.2" y="25" font-size="20" fill="#000000" font-weight="bold" font-style="italic" text-anchor="middle" ' +
      'transform="rotate(-90 57.2 25)">a &lt; b &amp; c</text>',
  );
});

Deno.test("the clip of a rotated text is not rotated", () => {
  const svg = drawn((context) => {
    context.beginPath();
    context.rect(0, 0, 80, 40);
    context.clip();
    context.rotate(-Math.PI / 2);
    context.fillText("turned", 0, 0);
  });
  assert.match(svg, /<g clip-path="url\(#c0\)"><text [^>]*rotate\(-90 0 0\)">turned<\/text><\/g>$/);
});

Deno.test("drawing with opacity 0 adds no element", () => {
  const svg = drawn((context) => {
    context.fillStyle = "transparent";
    context.fillRect(0, 0, 1, 1);
    context.fillStyle = "#11223300";
    context.fillRect(0, 0, 1, 1);
  });
  assert.equal(svg, "");
});

Deno.test("unknown methods, properties, paints, fonts and numbers that are not finite throw with their name", () => {
  assert.throws(
    () => drawn((context) => context.bezierCurveTo(0, 0, 1, 1, 2, 2)),
    /does not support "bezierCurveTo"/,
  );
  assert.throws(
    () => drawn((context) => context.shadowBlur = 3),
    /does not support the property "shadowBlur"/,
  );
  assert.throws(() => drawn((context) => context.lineTo(NaN, 1)), /not finite/);
  const fill = (style: unknown) => () =>
    drawn((context) => [context.fillStyle = style, context.fillRect(0, 0, 1, 1)]);
  assert.throws(fill({}), /gradients/);
  assert.throws(fill("hsl(1, 2%, 3%)"), /does not support the colour "hsl/);
  assert.throws(() => parseFont("12pt Arial"), /does not support the font "12pt Arial"/);
});

Deno.test("textWidth() is never less than the width in Helvetica or DejaVu Sans", () => {
  // Advance widths in thousandths from Helvetica's AFM and DejaVu Sans 2.37's hmtx; the table rounds to hundredths.
  const font = parseFont("normal 10px/1.2 sans-serif");
  const known = { "l": 278, "m": 974, "M": 863, "@": 1015, " ": 318, "0": 636, "%": 950, "w": 818, "~": 838 };
  for (const [character, width] of Object.entries(known)) {
    assert.ok(Math.abs(textWidth(character, font) - width / 100) < 0.051, character);
  }
  assert.equal(textWidth("", font), 0);
  assert.ok(
    textWidth("漢", font) === 10 && textWidth("mm", parseFont("bold 10px a")) > textWidth("mm", font),
  );
});

Deno.test("charts and pages show control characters, C1 and direction marks as escapes, measured with the width of the escapes", () => {
  const text = "a\x1b[31m\x9b\u202e\u2066\r\ud800\uffffb<\n\t";
  const shown = "a\\u001b[31m\\u009b\\u202e\\u2066\\r\ufffd\ufffdb&lt;\n\t";
  assert.equal(escapeXml(text), shown);
  const font = parseFont("10px sans-serif");
  assert.equal(textWidth("\u202e", font), textWidth("\\u202e", font));
});
