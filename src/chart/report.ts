// Writes the report of a run, which is one page of HTML with the device, sizes, losses, warnings, charts, samples and
// statistics. All content that is not passed in the options is read from the log, which is streamed.

import type {
  DoneRecord,
  LogRecord,
  RunRecord,
  SampleRecord,
  StatRecord,
  WarningRecord,
} from "../log/records.ts";
import { shortNumber, showLoss } from "../log/stat_formats.ts";
import { statisticsOf } from "../log/stat_rows.ts";
import { logSummariser, type LossAt, type LossSummary } from "../log/summary.ts";
import { showBytes, showSeconds } from "../base/units.ts";
import { type Cell, chartFigures, details, htmlPage, htmlTable, section } from "./report_page.ts";
import { escapeXml } from "./svg_context.ts";

/** Content of a report that is not in its log. */
export interface ReportOptions {
  /** SVG documents, keyed by file name and in order, such as those that `runCharts` returns. */
  readonly charts?: Readonly<Record<string, string>>;
  /** The configuration as YAML. Default: the configuration in the log, as JSON. */
  readonly config?: string;
  /** The title if the log has no `run` record. */
  readonly name?: string;
}

/** The number of samples at the end of the log that are shown unfolded; earlier samples are folded. */
const OPEN_SAMPLES = 10;
const STAT_DIGITS = 4;
const PARTS = ["parameters", "optimizer", "activations", "total"] as const;

interface WarningCount {
  readonly first: WarningRecord;
  last: WarningRecord;
  count: number;
}

interface Contents {
  run?: RunRecord;
  done?: DoneRecord;
  readonly warnings: Map<string, WarningCount>;
  readonly samples: SampleRecord[];
  /** The last record of each tensor and head; their steps may differ, because selectors have separate recording intervals. */
  readonly stats: Map<string, StatRecord>;
  losses: readonly LossSummary[];
}

function addStat(stats: Contents["stats"], record: StatRecord): void {
  const { kind, tap, head } = record;
  // A pattern has two records, of the batch and of repeated tokens; in older logs these two records differ only in the
  // names of their statistics.
  const names = statisticsOf(record).map(([name]) => name);
  stats.set(JSON.stringify([kind, tap, head, names]), record);
}

function addWarning(warnings: Map<string, WarningCount>, record: WarningRecord): void {
  const known = warnings.get(record.code);
  if (!known) warnings.set(record.code, { first: record, last: record, count: 1 });
  else Object.assign(known, { last: record, count: known.count + 1 });
}

async function contentsOf(records: AsyncIterable<LogRecord>): Promise<Contents> {
  const contents: Contents = { warnings: new Map(), samples: [], stats: new Map(), losses: [] };
  const summariser = logSummariser();
  for await (const record of records) {
    if (record.type === "run") contents.run = record;
    if (record.type === "done") contents.done = record;
    if (record.type === "warning") addWarning(contents.warnings, record);
    if (record.type === "sample") contents.samples.push(record);
    if (record.type === "stat") addStat(contents.stats, record);
    if (record.type === "step" || record.type === "eval") summariser.add(record);
  }
  contents.losses = summariser.summary().losses;
  return contents;
}

const count = (value: number): string => value.toLocaleString("en");
const lossAt = (at: LossAt | null): string =>
  at ? `${showLoss(at.loss)} at step ${at.step}` : "no finite value";

function facts({ run, done, losses }: Contents): [string, string][] {
  const steps = losses.find(({ name }) => name === "training")?.last.step ?? 0;
  const planned = (run?.config as { train?: { steps?: number } } | null | undefined)?.train?.steps;
  const of = planned === undefined ? "" : ` of ${count(planned)}`;
  const rows: [string, string][] = [];
  if (run) {
    const { device, memory } = run;
    const named = device.adapter === null ? device.kind : `${device.kind}, ${device.adapter}`;
    const where = device.kind === "webgpu"
      ? `${named}${device.software ? " (software)" : ""}`
      : device.adapter ?? device.kind;
    rows.push(
      ["device", where],
      ["parameters", count(run.parameters)],
      ["memory", PARTS.map((part) => `${part} ${showBytes(memory[part])}`).join(", ")],
    );
  }
  rows.push(["steps", `${count(steps)}${of}${run ? `, ${count(run.tokens_per_step)} positions each` : ""}`]);
  rows.push([
    "ended",
    done
      ? `${done.diverged ? "diverged, " : ""}after ${showSeconds(done.seconds)}`
      : "no, or not yet: the log has no final record",
  ]);
  if (done?.best) rows.push(["best", lossAt({ step: done.best.step, loss: done.best.val_loss })]);
  if (run) {
    rows.push(["started", run.time], ["seed", String(run.seed)], ["heed, Deno", `${run.heed}, ${run.deno}`]);
    if (run.git !== null) rows.push(["commit", run.git]);
  }
  return rows;
}

function warningsPart({ warnings }: Contents): string[] {
  if (warnings.size === 0) return [];
  const rows = [...warnings.values()].map(({ first, last, count: times }): Cell[] => {
    const steps = first.step === last.step
      ? `${first.step ?? "-"}`
      : `${first.step ?? "-"}\u00a0to\u00a0${last.step ?? "-"}`;
    return [first.code, { number: count(times) }, steps, first.message];
  });
  return [section("Warnings", htmlTable(["code", "times", "steps", "first message"], rows))];
}

function lossesPart({ losses }: Contents): string[] {
  if (losses.length === 0) return [];
  const rows = losses.map(({ name, first, last, least }) => [name, ...[first, last, least].map(lossAt)]);
  return [section("Losses, nats per token", htmlTable(["", "first", "last", "lowest"], rows))];
}

function samplesPart({ samples }: Contents): string[] {
  if (samples.length === 0) return [];
  const texts = samples.map(({ step, prompt, text, temperature, top_k, top_p }) => {
    // A text starts with its prompt if the tokenizer decodes the prompt unchanged.
    const continuation = text.startsWith(prompt) ? text.slice(prompt.length) : text;
    const filters = [
      `temperature ${temperature}`,
      ...(top_k === null ? [] : [`top ${top_k}`]),
      ...(top_p === null ? [] : [`top p ${top_p}`]),
    ];
    return `<p class="soft">step ${count(step)}, ${escapeXml(filters.join(", "))}</p>\n` +
      `<pre dir="auto"><b>${escapeXml(prompt)}</b>${escapeXml(continuation)}</pre>`;
  });
  const folded = texts.slice(0, -OPEN_SAMPLES);
  return [section(
    "Samples",
    ...(folded.length > 0 ? [details(`${count(folded.length)} earlier samples`, folded.join("\n"))] : []),
    ...texts.slice(-OPEN_SAMPLES),
  )];
}

const KIND_NAMES: Readonly<Record<string, string>> = {
  act: "activations",
  grad: "gradients of activations",
  param: "parameters",
  param_grad: "gradients of parameters",
  opt: "optimizer state",
  update: "updates of parameters",
  metric: "metrics",
};

/** Maximum number of taps named in the title of a table. */
const MOST_NAMED = 4;

/**
 * Returns the title of a table: the kind of its records, their taps without the block if there are only a few taps, and the
 * number of rows.
 */
function tableName(records: readonly StatRecord[]): string {
  const [{ kind, head, input }] = records;
  const taps = [...new Set(records.map(({ tap }) => tap.replace(/^blocks\.\d+\./, "")))];
  return [
    KIND_NAMES[kind] ?? kind,
    ...(taps.length > MOST_NAMED ? [] : [`of ${taps.join(", ")}`]),
    ...(head === null ? [] : ["by head"]),
    ...(input === undefined ? [] : [`on ${input} tokens`]),
    `(${count(records.length)} ${records.length === 1 ? "row" : "rows"})`,
  ].join(" ");
}

function statsTable(records: readonly StatRecord[]): string {
  const byHead = records[0].head !== null;
  const rows = records.map((record): Cell[] => [
    record.tap,
    ...(byHead ? [{ number: `${record.head}` }] : []),
    { number: count(record.step) },
    ...statisticsOf(record).map(([_, value]) => ({ number: shortNumber(value, STAT_DIGITS) })),
  ]);
  const headings = statisticsOf(records[0]).map(([name]) => name);
  return details(
    tableName(records),
    htmlTable(["tap", ...(byHead ? ["head"] : []), "step", ...headings], rows),
  );
}

function statsPart({ stats }: Contents): string[] {
  if (stats.size === 0) return [];
  const shape = (record: StatRecord) =>
    [record.kind, record.head !== null, ...statisticsOf(record).map(([name]) => name)].join("\n");
  const tables = [...Map.groupBy(stats.values(), shape).values()];
  return [section("Last statistics of each tensor", ...tables.map(statsTable))];
}

function configPart({ run }: Contents, config: string | undefined): string[] {
  const text = config ?? (run ? JSON.stringify(run.config, null, 2) : undefined);
  if (text === undefined) return [];
  return [section("Configuration", details("resolved, with every key", `<pre>${escapeXml(text)}</pre>`))];
}

/**
 * Returns the report of a run as one HTML document. It contains the device, sizes and time; warnings, with one row per
 * code; losses (first, last and lowest); the charts; all samples, of which those before the last 10 are folded; the last
 * statistics of every tensor and head, in folded tables; and the configuration, folded. Nothing is truncated. The document
 * needs no network and no script, and all content from the log is escaped.
 *
 * @param records the records of the log in order; they are read once, in memory that grows only with the number of samples,
 * tensors and warning codes
 *
 * @example
 * ```ts
 * import { readLog, runCharts, runReport } from "../../mod.ts";
 * const log = "runs/latest/log.ndjson";
 * await Deno.writeTextFile("report.html", await runReport(readLog(log), { charts: await runCharts(log) }));
 * ```
 * @category Charts
 */
export async function runReport(
  records: AsyncIterable<LogRecord>,
  { charts = {}, config, name: otherwise = "run" }: ReportOptions = {},
): Promise<string> {
  const contents = await contentsOf(records);
  const name = contents.run?.name ?? otherwise;
  return htmlPage(`${name}: report`, [
    `<h1>${escapeXml(name)}</h1>`,
    htmlTable([], facts(contents)),
    ...warningsPart(contents),
    ...lossesPart(contents),
    ...(Object.keys(charts).length > 0 ? [section("Charts", chartFigures(charts))] : []),
    ...samplesPart(contents),
    ...statsPart(contents),
    ...configPart(contents, config),
  ]);
}
