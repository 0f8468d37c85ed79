// Shows the progress of a long task: on a terminal as one line that is overwritten, elsewhere as a new plain line every few
// seconds. Any code may report progress; it is shown only if the script has called showProgress.
import { columnsOf, cutToColumns } from "./columns.ts";
import { escapeControls, messageLine } from "./terminal.ts";
import { showBytes, showSeconds } from "./units.ts";
import { showStatus, writeStderr } from "./write.ts";

/** The current activity and its progress. */
export interface Activity {
  /** What the program is doing, such as "evaluating". */
  readonly what: string;
  /** The number of units completed. */
  readonly done?: number;
  /** The total number of units, if it is known. */
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
/** Minimum number of milliseconds between plain lines and before the first one, so that a quick task shows no line. */
const PLAIN_MS = 5000;
/** The remaining time is estimated only if an activity has run for at least this many seconds. */
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
  /**
   * The time at which the current activity began, in milliseconds of performance.now(), and the number of units that were
   * completed at that time.
   */
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
 * Returns an activity as one line, such as `evaluating 12/50  8 s left`. The remaining time is estimated from the rate
 * since `begun.at` (a time in milliseconds), at which `begun.done` units had already been completed.
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

/** Sets a prefix for the activities that follow, such as the name of the run they belong to.
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
