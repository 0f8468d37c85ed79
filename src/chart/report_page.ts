// The HTML of a report: escaping, tables, and inline charts. The page is one file that needs no network and runs no
// script (enforced by a content security policy), readable on light and dark screens and on paper.

import { escapeXml } from "./svg_context.ts";

const STYLE = `
:root { color-scheme: light dark; --ink: #1d1d1f; --soft: #5c5c62; --line: #d5d5da; --page: #ffffff; --card: #f6f6f8;
  --alert: #9a3412; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --soft: #a6a6ae; --line: #43434a; --page: #17171a;
  --card: #222227; --alert: #fdba74; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 78rem; background: var(--page); color: var(--ink);
  font: 15px/1.5 Helvetica, Arial, "Liberation Sans", sans-serif; }
h1 { margin: 0; font-size: 1.7rem; overflow-wrap: anywhere; }
h2 { margin: 2.2rem 0 0.6rem; font-size: 1.15rem; }
.soft, figcaption, th { color: var(--soft); }
.alert { color: var(--alert); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5rem 0; }
th, td { padding: 0.2rem 0.9rem 0.2rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
  font-weight: normal; }
td { overflow-wrap: break-word; }
td.number, th.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.dense table { font-size: 12.5px; }
.dense td { white-space: nowrap; }
.dense th, .dense td { padding-right: 0.8rem; }
.charts { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr));
  grid-auto-flow: row dense; align-items: start; }
figure { margin: 0; break-inside: avoid; }
figure.broad { grid-column: 1 / -1; }
figure svg, figure img { display: block; max-width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
figcaption { font-size: 0.85rem; padding-top: 0.2rem; }
pre { margin: 0.5rem 0; padding: 0.8rem 1rem; background: var(--card); border-radius: 6px; white-space: pre-wrap;
  overflow-wrap: anywhere; font: 13px/1.5 Menlo, Consolas, "DejaVu Sans Mono", monospace; }
details { margin: 0.3rem 0; }
summary { cursor: pointer; }
@media print { :root { --ink: #000000; --soft: #444444; --line: #bbbbbb; --page: #ffffff; --card: #ffffff;
  --alert: #000000; } body { padding: 0; max-width: none; font-size: 10pt; } pre { border: 1px solid var(--line); }
  h2 { break-after: avoid; } tr { break-inside: avoid; } .wide { overflow-x: visible; }
  .dense table { font-size: 5.5pt; } .dense th, .dense td { padding-right: 0.5em; }
  details::details-content { content-visibility: visible; } }
`;

export type Cell = string | { readonly number: string };

/** The minimum number of columns for which a table is set in small type. */
const DENSE = 8;

/**
 * Returns a table as HTML. The heading of a column is aligned as for numbers if the first row has a number in that column.
 * All text is escaped.
 */
export function htmlTable(headings: readonly string[], rows: readonly (readonly Cell[])[]): string {
  const cell = (tag: string, content: string, isNumber: boolean) =>
    `<${tag}${isNumber ? ' class="number"' : ""}>${escapeXml(content)}</${tag}>`;
  const head = headings.map((heading, i) => cell("th", heading, typeof rows[0]?.[i] === "object"));
  const body = rows.map((row) => {
    const cells = row.map((c) => typeof c === "object" ? cell("td", c.number, true) : cell("td", c, false));
    return `<tr>${cells.join("")}</tr>`;
  });
  // A thead is repeated on every printed page.
  const first = headings.length ? `<thead><tr>${head.join("")}</tr></thead>\n` : "";
  const wide = headings.length >= DENSE ? "wide dense" : "wide";
  return `<div class="${wide}"><table>\n${first}<tbody>\n${body.join("\n")}\n</tbody>\n</table></div>`;
}

/** Matches tags and attributes of an SVG that would affect the page around it: styles, scripts and external links. */
const REACHES_OUT =
  /<(style|script|foreignObject|image|iframe|a)\b|\son\w+\s*=|href\s*=\s*["'](?!#)|url\((?!\s*["']?#)/i;

const TAGS = /<[^!?][^>]*>/g;

/** Prefixes the ids of an SVG and the references to them; text between tags is unchanged. */
function prefixIds(svg: string, prefix: string): string {
  return svg.replace(TAGS, (tag) =>
    tag
      .replace(/(\sid=["'])/g, `$1${prefix}`)
      .replace(/(url\(["']?#|href=["']#)/g, `$1${prefix}`)
      .replace(/(\saria-(?:labelledby|describedby)=")([^"]*)"/g, (_, before, ids: string) =>
        `${before}${ids.trim().split(/\s+/).map((id) => prefix + id).join(" ")}"`));
}

/**
 * Returns an SVG document as part of a page. The ids in the document get the prefix, so that no two charts share an id. A
 * document that is incomplete or has styles, scripts or links becomes an `<img>`, which cannot affect the page.
 */
export function inlineSvg(name: string, svg: string, prefix: string): string {
  const element = svg.replace(/^\ufeff?\s*(<\?xml[^>]*\?>|<!DOCTYPE[^>]*>|<!--[\s\S]*?-->|\s+)*/i, "").trim();
  const isSvg = /^<svg[\s>]/.test(element) && element.endsWith("</svg>");
  if (isSvg && !REACHES_OUT.test((element.match(TAGS) ?? []).join(""))) return prefixIds(element, prefix);
  const data = new TextEncoder().encode(svg).toBase64();
  return `<img alt="${escapeXml(name)}" src="data:image/svg+xml;base64,${data}">`;
}

/** Charts wider than this many pixels, the width of a line chart, get a row to themselves. */
const BROAD = 720;

/**
 * Returns the HTML of charts that are given by file name. The charts are side by side if there is room, and the caption of
 * each chart is its file name without the extension.
 */
export function chartFigures(charts: Readonly<Record<string, string>>): string {
  const figures = Object.entries(charts).map(([file, svg], i) => {
    const name = file.replace(/\.svg$/, "");
    const broad = Number(/^[^>]*\swidth="(\d+)/.exec(svg)?.[1]) > BROAD ? ' class="broad"' : "";
    return `<figure${broad}>\n${inlineSvg(name, svg, `chart${i}-`)}\n` +
      `<figcaption>${escapeXml(name)}</figcaption>\n</figure>`;
  });
  return `<div class="charts">\n${figures.join("\n")}\n</div>`;
}

/** Returns content that is folded under a one-line summary on a screen, and unfolded in print. */
export function details(summary: string, ...html: readonly string[]): string {
  return `<details>\n<summary>${escapeXml(summary)}</summary>\n${html.join("\n")}\n</details>`;
}

export function section(heading: string, ...html: readonly string[]): string {
  return `<section>\n<h2>${escapeXml(heading)}</h2>\n${html.join("\n")}\n</section>`;
}

/** Returns the complete document. `title` is text and is escaped; `body` is HTML. */
export function htmlPage(title: string, body: readonly string[]): string {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeXml(title)}</title>
<style>${STYLE}</style>
</head>
<body>
${body.join("\n")}
</body>
</html>
`;
}
