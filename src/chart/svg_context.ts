// The part of a 2D canvas context that charts use. It records what is drawn as SVG, needs no permission and no native code,
// and gives the same bytes for the same drawing. Using anything unsupported throws an error that names it, so that no
// stroke is lost silently.

import { type Font, parseFont, textWidth } from "./text_width.ts";
import { escapeText } from "../base/terminal.ts";

type Matrix = readonly [number, number, number, number, number, number];

const IDENTITY: Matrix = [1, 0, 0, 1, 0, 0];

/** Returns the product m n, which applies n first and then m, as a canvas composes transformations. */
function compose(m: Matrix, n: Matrix): Matrix {
  return [
    m[0] * n[0] + m[2] * n[1],
    m[1] * n[0] + m[3] * n[1],
    m[0] * n[2] + m[2] * n[3],
    m[1] * n[2] + m[3] * n[3],
    m[0] * n[4] + m[2] * n[5] + m[4],
    m[1] * n[4] + m[3] * n[5] + m[5],
  ];
}

/** Formats a number for the SVG with two decimals; throws if it is not finite. */
function num(value: number, digits = 2): string {
  if (!Number.isFinite(value)) throw new Error(`The chart draws at ${value}, which is not finite.`);
  return String(Number(value.toFixed(digits)) + 0);
}

/**
 * Escapes text for XML. Characters that XML cannot contain are replaced, and control characters and direction marks become
 * visible escapes.
 */
export function escapeXml(text: string): string {
  return escapeText(text.toWellFormed())
    .replace(/[\ufffe\uffff]/g, "\ufffd")
    .replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

/** Splits a CSS colour into a colour without opacity and the opacity, because SVG 1.1 needs the two separately. */
function parseColour(colour: unknown): [colour: string, opacity: number] {
  if (typeof colour !== "string") throw new Error("The chart's canvas supports no gradients or patterns.");
  const text = colour.trim().toLowerCase();
  const hex = /^#([0-9a-f]{6})([0-9a-f]{2})$/.exec(text);
  if (hex) return [`#${hex[1]}`, parseInt(hex[2], 16) / 255];
  const rgb = /^rgba?\(([^)]*)\)$/.exec(text);
  if (rgb) {
    const parts = rgb[1].split(/[\s,/]+/).filter(Boolean).map(Number);
    const bytes = parts.slice(0, 3).map((part) => Math.round(part).toString(16).padStart(2, "0"));
    return [`#${bytes.join("")}`, parts[3] ?? 1];
  }
  if (text === "transparent") return ["#000000", 0];
  if (/^#[0-9a-f]{3}$|^#[0-9a-f]{6}$|^[a-z]+$/.test(text)) return [text, 1];
  throw new Error(`The chart's canvas does not support the colour "${colour}".`);
}

const PROPERTIES = {
  fillStyle: "#000000" as unknown,
  strokeStyle: "#000000" as unknown,
  globalAlpha: 1,
  lineWidth: 1,
  lineCap: "butt",
  lineJoin: "miter",
  lineDashOffset: 0,
  font: "10px sans-serif",
  textAlign: "start",
  textBaseline: "alphabetic",
};

type Properties = typeof PROPERTIES;
type State = { properties: Properties; matrix: Matrix; dash: number[]; clip: string };

const ANCHORS: { [align: string]: string } = { center: "middle", right: "end", end: "end" };
// Renderers differ in dominant-baseline, so a baseline becomes a shift in hundredths of the font size; the middle is half the
// cap height.
const BASELINES: { [baseline: string]: number } = {
  top: 80,
  hanging: 75,
  middle: 36,
  bottom: -20,
  ideographic: -20,
};

interface Recording {
  out: string[];
  prefix: string;
  state: State;
  saved: State[];
  path: string;
  /** Whether the last command was M or L, after which a pair of numbers is a line without a letter. */
  inLine: boolean;
  /**
   * The path of the last element if that element was filled, so that a stroke can be added to the same element; otherwise
   * empty.
   */
  filled: string;
  clips: Map<string, string>;
}

function pointAt(recording: Recording, x: number, y: number): string {
  const [a, b, c, d, e, f] = recording.state.matrix;
  return `${num(a * x + c * y + e, 1)},${num(b * x + d * y + f, 1)}`;
}

function scaleOf(recording: Recording): number {
  const [a, b, c, d] = recording.state.matrix;
  return Math.sqrt(Math.abs(a * d - b * c));
}

function paintAttribute(recording: Recording, kind: "fill" | "stroke", style: unknown): string | undefined {
  const [colour, alpha] = parseColour(style);
  const opacity = alpha * recording.state.properties.globalAlpha;
  if (opacity === 0) return undefined;
  return `${kind}="${escapeXml(colour)}"` + (opacity < 1 ? ` ${kind}-opacity="${num(opacity, 3)}"` : "");
}

function strokeAttributes(recording: Recording): string | undefined {
  const { strokeStyle, lineWidth, lineCap, lineJoin, lineDashOffset } = recording.state.properties;
  const paint = paintAttribute(recording, "stroke", strokeStyle);
  if (!paint) return undefined;
  const scale = scaleOf(recording);
  let text = paint;
  if (lineWidth * scale !== 1) text += ` stroke-width="${num(lineWidth * scale)}"`;
  if (lineCap !== "butt") text += ` stroke-linecap="${escapeXml(lineCap)}"`;
  if (lineJoin !== "miter") text += ` stroke-linejoin="${escapeXml(lineJoin)}"`;
  if (recording.state.dash.length) {
    text += ` stroke-dasharray="${recording.state.dash.map((length) => num(length * scale)).join(" ")}"`;
    if (lineDashOffset) text += ` stroke-dashoffset="${num(lineDashOffset * scale)}"`;
  }
  return text;
}

function emit(recording: Recording, element: string): void {
  recording.out.push(element);
  recording.filled = "";
}

function clipAttribute(recording: Recording): string {
  return recording.state.clip && ` clip-path="url(#${recording.state.clip})"`;
}

type Rectangle = [x: number, y: number, width: number, height: number];

function rectanglePath(recording: Recording, [x, y, width, height]: Rectangle): string {
  const corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
  return `M${corners.map(([u, v]) => pointAt(recording, u, v)).join(" ")}Z`;
}

function fillPath(recording: Recording, path: string): void {
  const paint = paintAttribute(recording, "fill", recording.state.properties.fillStyle);
  if (!path || !paint) return;
  emit(recording, `<path d="${path}" ${paint}${clipAttribute(recording)}/>`);
  recording.filled = path;
}

function strokePath(recording: Recording, path: string): void {
  const stroke = strokeAttributes(recording);
  if (!path || !stroke || recording.state.properties.lineWidth <= 0) return;
  const ending = `${clipAttribute(recording)}/>`;
  if (recording.filled === path && recording.out.at(-1)!.endsWith(ending)) {
    emit(recording, `${recording.out.pop()!.slice(0, -ending.length)} ${stroke}${ending}`);
  } else emit(recording, `<path d="${path}" fill="none" ${stroke}${ending}`);
}

function clipTo(recording: Recording, path: string): void {
  const key = `${recording.state.clip} ${path}`;
  let id = recording.clips.get(key);
  if (!id) {
    id = `${recording.prefix}${recording.clips.size}`;
    recording.clips.set(key, id);
    emit(recording, `<clipPath id="${id}"${clipAttribute(recording)}><path d="${path}"/></clipPath>`);
  }
  recording.state.clip = id;
}

/** Adds an arc to the path as two halves, because an SVG arc cannot end where it begins, as a full circle does. */
function addArc(
  recording: Recording,
  x: number,
  y: number,
  radius: number,
  start: number,
  end: number,
  counter: boolean,
): void {
  const turn = 2 * Math.PI;
  let sweep = counter ? start - end : end - start;
  sweep = sweep >= turn ? turn : ((sweep % turn) + turn) % turn;
  const r = num(radius * scaleOf(recording));
  const at = (angle: number) =>
    pointAt(recording, x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  recording.path += `${recording.path ? "L" : "M"}${at(start)}`;
  recording.inLine = false;
  for (let part = 1; part <= 2; part++) {
    const angle = start + (counter ? -1 : 1) * sweep * part / 2;
    recording.path += `A${r},${r} 0 0 ${counter ? 0 : 1} ${at(angle)}`;
  }
}

function addText(recording: Recording, text: string, x: number, y: number): void {
  const { font, fillStyle, textAlign, textBaseline } = recording.state.properties;
  const paint = paintAttribute(recording, "fill", fillStyle);
  if (!paint || text.trim() === "") return;
  const { size, weight, style }: Font = parseFont(font);
  const [a, b, c, d, e, f] = recording.state.matrix;
  const down = y + (BASELINES[textBaseline] ?? 0) * size / 100;
  const anchor = ANCHORS[textAlign];
  let attributes = ` font-size="${num(size * scaleOf(recording))}" ${paint}`;
  if (weight !== "normal") attributes += ` font-weight="${weight}"`;
  if (style !== "normal") attributes += ` font-style="${style}"`;
  if (anchor) attributes += ` text-anchor="${anchor}"`;
  const angle = Math.atan2(b, a) * 180 / Math.PI;
  const [px, py] = [num(a * x + c * down + e, 1), num(b * x + d * down + f, 1)];
  const clip = clipAttribute(recording);
  const content = `>${escapeXml(text)}</text>`;
  if (Math.abs(angle) <= 1e-6) {
    return emit(recording, `<text x="${px}" y="${py}"${attributes}${clip}${content}`);
  }
  const turn = `rotate(${num(angle)} ${px} ${py})`;
  const turned = `<text x="${px}" y="${py}"${attributes} transform="${turn}"${content}`;
  // A clip on the text element would be rotated too.
  emit(recording, clip ? `<g${clip}>${turned}</g>` : turned);
}

function pathMethods(recording: Recording) {
  const extend = (piece: string, inLine = false) => {
    recording.path += piece;
    recording.inLine = inLine;
  };
  return {
    beginPath: () => void (recording.path = ""),
    closePath: () => extend(recording.path ? "Z" : ""),
    moveTo: (x: number, y: number) => extend(`M${pointAt(recording, x, y)}`, true),
    lineTo: (x: number, y: number) =>
      extend(
        `${recording.path === "" ? "M" : recording.inLine ? " " : "L"}${pointAt(recording, x, y)}`,
        true,
      ),
    arc: (x: number, y: number, radius: number, start: number, end: number, counter = false) =>
      addArc(recording, x, y, radius, start, end, counter),
    rect: (...at: Rectangle) => extend(rectanglePath(recording, at)),
    clip: () => clipTo(recording, recording.path),
    fill: () => fillPath(recording, recording.path),
    stroke: () => strokePath(recording, recording.path),
    fillRect: (...at: Rectangle) => fillPath(recording, rectanglePath(recording, at)),
    strokeRect: (...at: Rectangle) => strokePath(recording, rectanglePath(recording, at)),
    // The document starts blank and is drawn once.
    clearRect: () => {},
  };
}

function stateMethods(recording: Recording) {
  const transform = (m: Matrix) => void (recording.state.matrix = compose(recording.state.matrix, m));
  return {
    save: () => {
      const { properties, matrix, dash, clip } = recording.state;
      recording.saved.push({ properties: { ...properties }, matrix, dash, clip });
    },
    restore: () => void (recording.state = recording.saved.pop() ?? recording.state),
    translate: (x: number, y: number) => transform([1, 0, 0, 1, x, y]),
    rotate: (angle: number) =>
      transform([Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle), 0, 0]),
    setTransform: (...m: number[]) => {
      if (m.length !== 6) throw new Error("The chart's canvas supports setTransform only with six numbers.");
      recording.state.matrix = m as unknown as Matrix;
    },
    resetTransform: () => void (recording.state.matrix = IDENTITY),
    setLineDash: (lengths: number[]) => void (recording.state.dash = [...lengths]),
    fillText: (text: string, x: number, y: number) => addText(recording, String(text), x, y),
    measureText: (text: string) => ({
      width: textWidth(`${text}`, parseFont(recording.state.properties.font)),
    }),
  };
}

/** The supported part of a 2D context, see {@link svgCanvas}. */
export type SvgContext = Properties & ReturnType<typeof pathMethods> & ReturnType<typeof stateMethods>;

/**
 * Returns a canvas whose 2D context records SVG: paths to which the current transformation is applied, clips whose ids
 * begin with `prefix`, and text as `<text>` elements. Coordinates have one decimal, and the same calls give the same
 * elements. The context throws an Error that names the method or property if it is unsupported, and an Error for a
 * coordinate that is not finite.
 */
export function svgCanvas(width: number, height: number, prefix: string) {
  const recording: Recording = {
    out: [],
    prefix,
    state: { properties: { ...PROPERTIES }, matrix: IDENTITY, dash: [], clip: "" },
    saved: [],
    path: "",
    inLine: false,
    filled: "",
    clips: new Map(),
  };
  const methods: Record<string, unknown> = { ...pathMethods(recording), ...stateMethods(recording) };
  const context = new Proxy({}, {
    get(_target, name): unknown {
      if (name === "canvas") return canvas;
      if (typeof name === "symbol") return undefined;
      if (Object.hasOwn(methods, name)) return methods[name];
      if (Object.hasOwn(PROPERTIES, name)) return recording.state.properties[name as keyof Properties];
      throw new Error(`The chart's canvas does not support "${name}".`);
    },
    set(_target, name, value) {
      if (!Object.hasOwn(PROPERTIES, name)) {
        throw new Error(`The chart's canvas does not support the property "${String(name)}".`);
      }
      recording.state.properties = { ...recording.state.properties, [name]: value };
      return true;
    },
  });
  const canvas = {
    width,
    height,
    getContext: (_kind: string): unknown => context,
    /** Returns the elements drawn so far, without the surrounding document. */
    elements: () => recording.out.join("\n"),
  };
  return canvas;
}
