// Draws diagrams of graphs: the operations are boxes from top to bottom, and the edges between the boxes are labelled with
// the shapes of tensors. dagre computes the layout; all text is real text and does not overlap.
import { maximum } from "../base/extremes.ts";
import dagre from "./dagre.ts";
import { elementwiseOp } from "../../kernels/elementwise/op.ts";
import { ancestors } from "../graph/gradient.ts";
import type { Node, Op, Tensor } from "../graph/tensor.ts";
import { reportProgress } from "../base/progress.ts";
import { FAMILY, TITLE_SIZE, wrap } from "./document.ts";
import { num } from "./sheet_text.ts";
import { escapeXml } from "./svg_context.ts";
import { type Font, textWidth } from "./text_width.ts";

/** Options of `graphDiagram`. */
export interface GraphDiagramOptions {
  /** The title above the diagram; long titles wrap. */
  readonly title?: string;
  /** Whether to draw states, constants and literals as separate boxes, not as lines in the box that reads them. Default: false. */
  readonly parameters?: boolean;
}

interface Box {
  readonly id: string;
  readonly kind: "operation" | "input" | "output";
  /** The operation, in bold. */
  readonly title: string;
  /** The lines below the title, which are the parameters and constants that the operation reads. */
  readonly lines: readonly string[];
}

interface Edge {
  readonly from: string;
  readonly to: string;
  readonly label: string;
}

const [BOX_SIZE, LINE_SIZE, LABEL_SIZE] = [12, 10, 10];
const [PADDING, LINE_HEIGHT, MARGIN] = [9, 13, 16];
/** Minimum width of a title in pixels, even if the diagram is narrower. */
const LEAST_TITLE = 480;
const FILLS = { operation: "#ffffff", input: "#e8e8e8", output: "#e8e8e8" };

const isLeaf = ({ role }: Op): boolean => role === "state" || role === "constant" || role === "literal";

const font = (size: number, weight = "normal"): Font => ({ style: "normal", weight, size, family: FAMILY });
const shapeText = ({ shape }: Tensor): string => `[${shape.join(", ")}]`;

function unfolded(x: Tensor): Tensor {
  return x.node.op.role === "view" ? unfolded(x.node.inputs[0]) : x;
}

/** Returns the tensor in a chain of views whose shape has the most dimensions, such as [B, T, H, d] rather than [B T, H d]. */
function mostDetailed(x: Tensor): Tensor {
  if (x.node.op.role !== "view") return x;
  const before = mostDetailed(x.node.inputs[0]);
  return before.shape.length > x.shape.length ? before : x;
}

/** Attributes that distinguish operations of one kind. */
interface Attributes {
  readonly name?: unknown;
  readonly activation?: unknown;
  readonly addend?: unknown;
  readonly value?: unknown;
}

/**
 * Returns the title of an operation. It has the kind of the operation, the activation and whether an addition is fused; the
 * title of an element-wise operation, an input or a state is its name.
 */
function titleOf({ op, attrs }: Node): string {
  const { name, activation, addend } = (attrs ?? {}) as Attributes;
  if (op === elementwiseOp && typeof name === "string") return name;
  if (op.role === "input" || op.role === "state") return String(name);
  const kind = [op.name.replaceAll("_", " "), typeof activation === "string" ? activation : ""].filter(
    Boolean,
  );
  return kind.join(" ") + (addend === true ? " + add" : "");
}

/** Returns the text of a leaf: the last part of a parameter's name and its shape, or the value of a constant. */
function leafText(x: Tensor): string {
  const { op, attrs } = unfolded(x).node;
  const { name, value } = attrs as Attributes;
  if (op.role === "constant") return `${value}`;
  return `${op.role === "state" ? String(name).split(".").at(-1) : "table"} ${shapeText(x)}`;
}

/** Returns the boxes and edges of a graph, in the order in which the nodes were created. */
function contents(outputs: Readonly<Record<string, Tensor>>, apart: boolean) {
  const folded = (x: Tensor) => !apart && isLeaf(unfolded(x).node.op);
  const boxes: Box[] = [];
  const edges: Edge[] = [];
  const join = (x: Tensor, to: string) => {
    edges.push({ from: `n${unfolded(x).node.order}`, to, label: shapeText(mostDetailed(x)) });
  };
  const nodes = ancestors(Object.values(outputs));
  const read = new Set(nodes.flatMap(({ op, inputs }) => op.role === "view" ? [] : inputs.map(unfolded)));
  for (const node of nodes) {
    const { op, inputs, path, order, outputs: [first] } = node;
    if (op.role === "view" || (isLeaf(op) && !apart && read.has(first))) continue;
    const nodeName = path.split(".").at(-1) ?? "";
    const leaf = isLeaf(op) || op.role === "input";
    boxes.push({
      id: `n${order}`,
      kind: leaf ? "input" : "operation",
      title: [nodeName, titleOf(node)].filter(Boolean).join(": "),
      lines: inputs.filter(folded).map(leafText),
    });
    for (const x of inputs) if (!folded(x)) join(x, `n${order}`);
  }
  for (const [name, x] of Object.entries(outputs)) {
    boxes.push({ id: `output ${name}`, kind: "output", title: name, lines: [] });
    join(x, `output ${name}`);
  }
  return { boxes, edges };
}

interface Placed {
  readonly x: number;
  readonly y: number;
}

/**
 * Returns whether most pairs of boxes in the same row are, from left to right, in the reverse of the order in which they
 * were created.
 */
function isReversed(boxes: readonly Box[], at: (id: string) => Placed): boolean {
  let reversed = 0;
  boxes.forEach(({ id }, n) => {
    for (const other of boxes.slice(n + 1)) {
      const [a, b] = [at(id), at(other.id)];
      if (a.y === b.y) reversed += Math.sign(a.x - b.x);
    }
  });
  return reversed > 0;
}

/** Computes the positions of boxes, labels and points of edges with dagre. */
function layOut(boxes: readonly Box[], edges: readonly Edge[]) {
  const graph = new dagre.graphlib.Graph({ multigraph: true });
  graph.setGraph({ rankdir: "TB", nodesep: 26, edgesep: 18, ranksep: 26, marginx: MARGIN, marginy: MARGIN });
  const sizes = new Map(boxes.map(({ id, title, lines }) => {
    const widths = [
      textWidth(title, font(BOX_SIZE, "bold")),
      ...lines.map((line) => textWidth(line, font(LINE_SIZE))),
    ];
    return [id, {
      width: Math.ceil(maximum(widths)) + 2 * PADDING,
      height: BOX_SIZE + LINE_HEIGHT * lines.length + 2 * PADDING,
    }];
  }));
  for (const [id, size] of sizes) graph.setNode(id, { ...size });
  edges.forEach(({ from, to, label }, n) => {
    const width = Math.ceil(textWidth(label, font(LABEL_SIZE))) + 6;
    graph.setEdge(from, to, { width, height: LABEL_SIZE + 4, labelpos: "c" }, `${n}`);
  });
  dagre.layout(graph);
  const width = Number(graph.graph().width);
  // The layout is mirrored if it is reversed, so that queries, keys and values are from left to right in the order of
  // creation.
  const reversed = isReversed(boxes, (id) => graph.node(id) as Placed);
  const flip = ({ x, y }: Placed): Placed => ({ x: reversed ? width - x : x, y });
  return {
    width,
    height: Number(graph.graph().height),
    boxes: boxes.map((box) => ({ ...box, ...sizes.get(box.id)!, at: flip(graph.node(box.id) as Placed) })),
    edges: edges.map((edge, n) => {
      const label = graph.edge(edge.from, edge.to, `${n}`) as unknown as Placed & {
        readonly points: readonly Placed[];
        readonly width: number;
      };
      return { ...edge, points: label.points.map(flip), at: flip(label), width: label.width };
    }),
  };
}

/**
 * Returns a smooth line along points, which is straight to the middle of the first segment and from the middle of the last
 * one, and curved around the corners.
 */
function curve(points: readonly Placed[]): string {
  const at = ({ x, y }: Placed) => `${num(x)},${num(y)}`;
  const middle = (a: Placed, b: Placed) => at({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  const corners = points.slice(1, -1).map((p, n) => `Q${at(p)} ${middle(p, points[n + 2])}`);
  return `M${at(points[0])}L${middle(points[0], points[1])}${corners.join("")}L${at(points.at(-1)!)}`;
}

function text(x: number, y: number, content: string, size: number, weight = ""): string {
  const bold = weight && ` font-weight="${weight}"`;
  return `<text x="${num(x)}" y="${num(y)}" font-size="${size}"${bold}>${escapeXml(content)}</text>`;
}

function drawBox({ kind, title, lines, at, width, height }: ReturnType<typeof layOut>["boxes"][number]) {
  const [left, top] = [at.x - width / 2, at.y - height / 2];
  const radius = kind === "operation" ? 3 : Math.min(14, height / 2);
  const first = top + PADDING + BOX_SIZE * 0.85;
  return [
    `<rect x="${num(left)}" y="${num(top)}" width="${num(width)}" height="${num(height)}" ` +
    `rx="${num(radius)}" fill="${FILLS[kind]}" stroke="#222222"/>`,
    text(at.x, first, title, BOX_SIZE, "bold"),
    ...lines.map((line, n) => text(at.x, first + (n + 1) * LINE_HEIGHT, line, LINE_SIZE)),
  ].join("\n");
}

/** Draws the label of an edge on a white background, which hides the line. */
function drawLabel({ at, width, label }: ReturnType<typeof layOut>["edges"][number]): string {
  const height = LABEL_SIZE + 4;
  return `<rect x="${num(at.x - width / 2)}" y="${num(at.y - height / 2)}" width="${num(width)}" ` +
    `height="${height}" fill="#ffffff"/>\n${text(at.x, at.y + LABEL_SIZE * 0.35, label, LABEL_SIZE)}`;
}

/**
 * Returns a diagram of a graph as an SVG document. Each operation is a box with the operation's name and the last part of
 * its path, and each tensor is an arrow labelled with the tensor's shape. Inputs are at the top, outputs at the bottom.
 * Views are folded into the arrows. Parameters and constants are folded into the boxes that read them. The same graph gives
 * the same document.
 *
 * @param outputs the outputs of the graph by name; those of a list are named by their index
 *
 * @example
 * ```ts
 * import { add, graphDiagram, input, layerNorm, linear, state } from "../../mod.ts";
 * const x = input("x", [2, 8, 16]);
 * const y = linear(layerNorm(x, state("norm.weight", [16])), state("fc.weight", [16, 16]));
 * await Deno.writeTextFile("graph.svg", graphDiagram({ y: add(x, y) }, { title: "A branch" }));
 * ```
 * @category Charts
 */
export function graphDiagram(
  outputs: readonly Tensor[] | Readonly<Record<string, Tensor>>,
  { title, parameters = false }: GraphDiagramOptions = {},
): string {
  reportProgress({ what: "drawing the graph" });
  const named = Array.isArray(outputs)
    ? Object.fromEntries(outputs.map((x: Tensor, n) => [`output ${n}`, x]))
    : outputs as Readonly<Record<string, Tensor>>;
  const { boxes, edges } = contents(named, parameters);
  const layout = layOut(boxes, edges);
  const titles = title ? wrap(title, Math.max(LEAST_TITLE, layout.width - 2 * MARGIN)) : [];
  const above = titles.length * (TITLE_SIZE + 4) + (title ? MARGIN - 4 : 0);
  const titleWidth = maximum(titles.map((line) => textWidth(line, font(TITLE_SIZE, "bold"))), 0);
  const width = Math.ceil(Math.max(layout.width, titleWidth > 0 ? titleWidth + 2 * MARGIN : 0));
  const height = Math.ceil(layout.height + above);
  const shift = num((width - layout.width) / 2);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="${escapeXml(FAMILY)}" fill="#222222" text-anchor="middle">`,
    `<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">` +
    `<path d="M0,0.5 8,4 0,7.5Z" fill="#444444"/></marker></defs>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...titles.map((line, n) =>
      text(width / 2, MARGIN + TITLE_SIZE * 0.8 + n * (TITLE_SIZE + 4), line, TITLE_SIZE, "bold")
    ),
    `<g transform="translate(${shift} ${above})">`,
    ...layout.edges.map(({ points }) =>
      `<path d="${curve(points)}" fill="none" stroke="#444444" marker-end="url(#arrow)"/>`
    ),
    ...layout.edges.map(drawLabel),
    ...layout.boxes.map(drawBox),
    "</g>",
    "</svg>\n",
  ].join("\n");
}
