// Progress of a long task: one line that is overwritten on a terminal, elsewhere a new plain line every few seconds. Any code
// may report progress; it is shown only if the script has called showProgress.
import { columnsOf, cutToColumns } from "./columns.ts";
import { escapeControls, messageLine } from "./terminal.ts";
import { showBytes, showSeconds } from "./units.ts";
import { showStatus, writeStderr } from "./write.ts";

/** The current activity and its progress. */
export interface Activity {
  /** Its description: "evaluating". */
  readonly what: string;
  /** Units completed. */
  readonly done?: number;
  /** Total units, if known. */
  readonly total?: number;
  /** Whether `done` and `total` are numbers of bytes. */
  readonly bytes?: boolean;
  /** Text shown instead of the remaining time. */
  readonly note?: string;
}

/** "auto" overwrites one line on a terminal and writes lines elsewhere; "plain" always writes lines; "none" shows nothing. */
export type ProgressMode = "auto" | "plain" | "none";

/** All modes. */
export const PROGRESS_MODES: readonly ProgressMode[] = ["auto", "plain", "none"];

const REDRAW_MS = 100;
const TICK_MS = 1000;
/** Milliseconds between plain lines, and before the first, so that a quick task shows none. */
const PLAIN_MS = 5000;
/** Minimum duration from which the remaining time is estimated. */
const SURE_SECONDS = 1;
/** Assumed width of a terminal that does not report its width. */
const COLUMNS = 80;

interface Display {
  readonly plain: boolean;
  readonly timer: ReturnType<typeof setInterval>;
  /** Time of the last line shown, in milliseconds of performance.now(). */
  shownAt: number;
  lead: string;
  current: Activity | undefined;
  /** When the current activity began, and how many units were completed then. */
  begun: { at: number; done: number };
}

let display: Display | undefined;

function columnsOfTerminal(): number {
  try {
    return Deno.consoleSize().columns || COLUMNS;
  } catch {
    return COLUMNS;
  }
}

function amount({ done, total, bytes }: Activity): string {
  if (done === undefined) return "";
  if (bytes) return ` ${showBytes(done)}${total === undefined ? "" : ` of ${showBytes(total)}`}`;
  return ` ${done}${total === undefined ? "" : `/${total}`}`;
}

/**
 * An activity as one line: `evaluating 12/50  8 s left`. The remaining time is estimated from the rate since `begun.at`, in
 * milliseconds, when `begun.done` units were completed.
 */
export function activityText(
  activity: Activity,
  begun: { readonly at: number; readonly done: number },
  now: number,
): string {
  const { what, done = 0, total, note } = activity;
  const seconds = (now - begun.at) / 1000;
  const sinceBegun = done - begun.done;
  const known = total !== undefined && sinceBegun > 0 && seconds >= SURE_SECONDS;
  const left = known ? `${showSeconds(seconds / sinceBegun * Math.max(0, total - done))} left` : undefined;
  const end = note ?? left;
  return escapeControls(`${what}${amount(activity)}${end === undefined ? "" : `  ${end}`}`);
}

function draw(shown: Display, now: number): void {
  const { plain, lead, current, begun } = shown;
  if (!current) return;
  shown.shownAt = now;
  const text = activityText(current, begun, now);
  try {
    if (plain) return writeStderr(`${messageLine(lead + text)}\n`);
    // Writing the last column would leave the cursor about to wrap.
    const columns = columnsOfTerminal() - 1;
    showStatus(cutToColumns(cutToColumns(lead, columns - columnsOf(text)) + text, columns));
  } catch {
    // A closed standard error must not end the work.
    endProgress();
  }
}

/**
 * Reports the current activity, which is shown only after `showProgress`. Calls are cheap.
 *
 * @example
 * ```ts
 * import { reportProgress } from "../../mod.ts";
 * for (let done = 0; done < 50; done++) reportProgress({ what: "evaluating", done, total: 50 });
 * ```
 * @category Scripts
 */
export function reportProgress(activity: Activity): void {
  if (!display) return;
  const now = performance.now();
  const { current, shownAt, plain } = display;
  const { what, done = 0 } = activity;
  const other = current?.what !== what;
  if (other || done < (current.done ?? 0)) display.begun = { at: now, done };
  display.current = activity;
  // A new activity is shown at once: it may block this thread until it ends.
  if (now - shownAt >= (plain ? PLAIN_MS : other ? 0 : REDRAW_MS)) draw(display, now);
}

/** Sets a prefix of the following activities, such as the run to which they belong.
 * @category Scripts */
export function leadProgress(lead: string): void {
  if (!display) return;
  display.lead = escapeControls(lead);
  display.current = undefined;
}

/**
 * Shows activities on standard error as they are reported.
 *
 * @example
 * ```ts
 * import { reportProgress } from "../../mod.ts";
 * import { endProgress, showProgress } from "./mod.ts";
 * showProgress("auto");
 * reportProgress({ what: "sampling", done: 3, total: 10 });
 * endProgress();
 * ```
 */
export function showProgress(mode: ProgressMode): void {
  endProgress();
  if (mode === "none") return;
  const plain = mode === "plain" || !Deno.stderr.isTerminal();
  const timer = setInterval(() => {
    const now = performance.now();
    if (display && now - display.shownAt >= (plain ? PLAIN_MS : TICK_MS)) draw(display, now);
  }, TICK_MS);
  Deno.unrefTimer(timer);
  const now = performance.now();
  display = { plain, timer, shownAt: now, lead: "", current: undefined, begun: { at: now, done: 0 } };
  if (!plain && Deno.build.os !== "windows") Deno.addSignalListener("SIGWINCH", redraw);
}

const redraw = () => {
  if (display) draw(display, performance.now());
};

/** Stops showing progress, and erases the terminal's progress line. */
export function endProgress(): void {
  if (!display) return;
  const { plain, timer } = display;
  display = undefined;
  clearInterval(timer);
  if (plain) return;
  if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGWINCH", redraw);
  try {
    showStatus("");
  } catch {
    // Standard error is closed.
  }
}
