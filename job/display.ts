import pc from 'picocolors';
import { plainLine, progressLines } from './progress-lines.ts';
import type { JobProgress } from './progress.ts';

/** Where progress goes: a terminal, or anything that takes text. */
export interface ProgressOutput {
  /** As a Node stream. */
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** Shows the progress of a job while it runs. */
export interface ProgressDisplay {
  /** Shows how far the job has come. */
  show(progress: JobProgress): void;
  /**
   * Writes a line that stays. On a terminal it appears above the progress, which overwrites
   * whatever others write there.
   */
  note(line: string): void;
  /** Shows the last progress once more and leaves it there. */
  end(): void;
}

/** The time between two plain lines of a stage. */
const PLAIN_INTERVAL_MS = 5_000;
const COLUMNS = 80;
const CURSOR_UP = (lines: number): string => `\u001b[${lines}A`;
const CLEAR_BELOW = '\r\u001b[J';

/**
 * On a terminal, one line per stage, rewritten in place; elsewhere, a plain line per stage every
 * few seconds.
 */
export function progressDisplay(output: ProgressOutput): ProgressDisplay {
  return output.isTTY === true ? new TerminalDisplay(output) : new PlainDisplay(output);
}

class TerminalDisplay implements ProgressDisplay {
  readonly #output: ProgressOutput;
  #last: JobProgress | undefined;
  /** The lines above the cursor, which the next progress overwrites. */
  #shown: readonly string[] = [];

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  show(progress: JobProgress): void {
    this.#last = progress;
    this.#draw([]);
  }

  note(line: string): void {
    this.#draw([line]);
  }

  end(): void {
    this.#last = undefined; // it is there already
    this.#shown = [];
  }

  /** Writes notes in place of the old progress, and the progress below them. */
  #draw(notes: readonly string[]): void {
    const { columns = 0, rows = 0 } = this.#output;
    const width = columns > 0 ? columns : COLUMNS; // a terminal of unknown size reports 0
    // The last column stays free: some terminals wrap as soon as it is filled.
    const lines = progressLines(this.#last?.stages ?? [], width - 1);
    const shown = rows > 1 ? lines.slice(0, rows - 1) : lines; // the top is out of reach
    const up = this.#shown.reduce((sum, line) => sum + rowsOf(line, width), 0);
    const text = [...notes, ...shown.map(colour)].map((line) => `${line}\n`).join('');
    this.#output.write((up === 0 ? '' : CURSOR_UP(up)) + CLEAR_BELOW + text);
    this.#shown = shown;
  }
}

/** The rows of a line now: a terminal that has become narrower has wrapped it. */
function rowsOf(line: string, width: number): number {
  return Math.max(1, Math.ceil(line.length / width));
}

function colour(line: string): string {
  return line.replace(/ done$/, pc.green(' done')).replace(/ stopped$/, pc.yellow(' stopped'));
}

class PlainDisplay implements ProgressDisplay {
  readonly #output: ProgressOutput;
  #shownMs = -Infinity;
  #last: JobProgress | undefined;

  constructor(output: ProgressOutput) {
    this.#output = output;
  }

  show(progress: JobProgress): void {
    this.#last = progress;
    // Nothing at the very start; then a line per stage every few seconds.
    if (progress.elapsedMs - Math.max(this.#shownMs, 0) < PLAIN_INTERVAL_MS) return;
    this.#print(progress);
  }

  note(line: string): void {
    this.#output.write(`${line}\n`);
  }

  end(): void {
    if (this.#last !== undefined && this.#last.elapsedMs !== this.#shownMs) this.#print(this.#last);
  }

  #print({ stages, elapsedMs }: JobProgress): void {
    this.#shownMs = elapsedMs;
    const seconds = (elapsedMs / 1000).toFixed(1);
    for (const stage of stages) this.#output.write(`${seconds}s ${plainLine(stage)}\n`);
  }
}
