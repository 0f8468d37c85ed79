// What a long task is doing now: one line, written over on a terminal, a plain line every few seconds elsewhere. Whoever does
// the work reports it; nothing is shown unless a script asks for it.
import { columnsOf, cutToColumns } from "./columns.ts";
import { escapeControls, messageLine } from "./terminal.ts";
import { showBytes, showSeconds } from "./units.ts";
import { showStatus, writeStderr } from "./write.ts";

/** What is being done, and how much of it is done. */
export interface Activity {
  /** In words: "evaluating". */
  readonly what: string;
  /** Units of it that are done. */
  readonly done?: number;
  /** Units in all, where that is known. */
  readonly total?: number;
  /** Whether units are bytes. */
  readonly bytes?: boolean;
  /** What is shown behind it instead of the time left. */
  readonly note?: string;
}

/** How progress is shown: "auto" is a line written over on a terminal, and plain lines elsewhere. */
export type ProgressMode = "auto" | "plain" | "none";

/** All modes. */
export const PROGRESS_MODES: readonly ProgressMode[] = ["auto", "plain", "none"];

const REDRAW_MS = 100;
const TICK_MS = 1000;
/** Between two plain lines, and before the first: a quick task shows none. */
const PLAIN_MS = 5000;
/** Sooner, the time left is a guess. */
const SURE_SECONDS = 1;
/** Where a terminal does not know its width. */
const COLUMNS = 80;

interface Display {
  readonly plain: boolean;
  readonly timer: ReturnType<typeof setInterval>;
  /** When a line was shown last, in milliseconds of performance.now(). */
  shownAt: number;
  lead: string;
  current: Activity | undefined;
  /** When the current activity began, and how many of its units were done then. */
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
 * An activity as one line: `evaluating 12/50  8 s left`. The rate of the time left is that since the activity `begun`, in
 * milliseconds, with so many units done.
 */
export function activityText(
  activity: Activity,
  begun: { readonly at: number; readonly done: number },
  now: number,
): string {
  const { what, done = 0, total, note } = activity;
  const seconds = (now - begun.at) / 1000;
  const made = done - begun.done;
  const known = total !== undefined && made > 0 && seconds >= SURE_SECONDS;
  const left = known ? `${showSeconds(seconds / made * Math.max(0, total - done))} left` : undefined;
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
    // A cursor behind the last column would wait to wrap.
    const columns = columnsOfTerminal() - 1;
    showStatus(cutToColumns(cutToColumns(lead, columns - columnsOf(text)) + text, columns));
  } catch {
    // Who does not listen any more must not end the work.
    endProgress();
  }
}

/**
 * Reports what is being done now; costs next to nothing, and shows something only where a script asks for it.
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
  // Another activity is shown at once: it may hold this thread until it is over.
  if (now - shownAt >= (plain ? PLAIN_MS : other ? 0 : REDRAW_MS)) draw(display, now);
}

/** Sets what goes before every activity: which of several runs it belongs to.
 * @category Scripts */
export function leadProgress(lead: string): void {
  if (!display) return;
  display.lead = escapeControls(lead);
  display.current = undefined;
}

/**
 * Shows on the standard error what is reported from now on.
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

/** Shows nothing more, and erases the line that a terminal shows. */
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
    // Nobody looks any more.
  }
}
