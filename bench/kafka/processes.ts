import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Milestone } from './tasks.ts';

const SAMPLE_MS = 200;
/** No step takes longer; what does hangs. */
const STEP_MS_MAX = 30 * 60_000;
/** Those that live, to be ended when the benchmark is. */
const alive = new Set<Worker>();

/** Kills the processes that are left, and resolves when all have ended. */
export async function killWorkers(): Promise<void> {
  await Promise.all([...alive].map((worker) => worker.kill()));
}

/** Peaks, in MB of 1,000,000 bytes. Linux only. */
export interface Memory {
  /** Resident, of all kinds at the same time: VmHWM. */
  readonly peak: number;
  /** Of it, heaps, stacks and code made at run time. */
  readonly anonymous: number;
  /** Of it, pages of mapped files, which the system may take back. */
  readonly files: number;
}

/** Looks at the memory of a process, until `stop`. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #anonymous = 0;
  #files = 0;

  constructor(pid: number) {
    this.#pid = pid;
    // Peaks begin now: a broker has had work before.
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // another system, or the process has ended: `stop` says so
    }
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS);
    this.#timer.unref();
  }

  /** The peaks since the start; undefined if the system does not tell. */
  stop(): Memory | undefined {
    clearInterval(this.#timer);
    const status = this.#look();
    if (status === undefined) return undefined;
    const peak = Math.max(megabytes(status, 'VmHWM'), this.#anonymous, this.#files);
    return { peak, anonymous: this.#anonymous, files: this.#files };
  }

  #look(): string | undefined {
    let status: string;
    try {
      status = readFileSync(`/proc/${this.#pid}/status`, 'utf8');
    } catch {
      return undefined;
    }
    this.#anonymous = Math.max(this.#anonymous, megabytes(status, 'RssAnon'));
    this.#files = Math.max(
      this.#files,
      megabytes(status, 'RssFile') + megabytes(status, 'RssShmem'),
    );
    return status;
  }
}

function megabytes(status: string, field: string): number {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1];
  return (Number(kibibytes ?? 0) * 1024) / 1e6;
}

/** A process that does one task and reports its milestones. */
export class Worker {
  /** When it was started, as the times of milestones. */
  readonly startedMs: number;
  readonly milestones: Milestone[] = [];
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #complaints: () => string;
  #hasEnded = false;
  #wake: () => void = () => undefined;

  /** @param complaints what it has written for people, if that is not on stderr already */
  constructor(start: () => ChildProcess, complaints = () => '') {
    this.#complaints = complaints;
    this.startedMs = performance.timeOrigin + performance.now();
    this.#child = start();
    alive.add(this);
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve());
      this.#child.once('close', () => resolve());
    });
    void this.#ended.then(() => {
      alive.delete(this);
      this.#hasEnded = true;
      this.#wake();
    });
    this.#child.stdin?.on('error', () => undefined); // it has ended: `until` says so
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.milestones.push(JSON.parse(line) as Milestone);
      this.#wake();
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Waits for a milestone. Rejects if the process ends before it, or has to be killed. */
  async until(what: Milestone['what']): Promise<Milestone> {
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STEP_MS_MAX);
    try {
      let found: Milestone | undefined;
      while ((found = this.milestones.find((each) => each.what === what)) === undefined) {
        if (this.#hasEnded) {
          throw new TypeError(`a process ended before '${what}'\n${this.#complaints()}`);
        }
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      return found;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Lets it check its results. */
  goOn(): void {
    this.#child.stdin?.write('check\n');
  }

  /** Ends its stdin, and so the process. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    await this.#ended;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
