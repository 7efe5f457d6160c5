import type { Random } from '../random.ts';

/** `create` is an open that creates the file; the others are named after the calls. */
export type OperationKind =
  | 'open'
  | 'create'
  | 'close'
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'size'
  | 'stat'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'removeDirectory'
  | 'syncDirectory';

/** Reads, opens and the like: a crash after such an operation equals one before it. */
export function changesNothing(kind: OperationKind): boolean {
  return CHANGE_NOTHING.has(kind);
}

const CHANGE_NOTHING: ReadonlySet<OperationKind> = new Set([
  'open',
  'close',
  'read',
  'size',
  'stat',
  'list',
]);

/** One operation of a `MemoryFileSystem`. A call that does several things is several operations. */
export interface Operation {
  /** Counts up from 1 in the order in which operations take effect. */
  readonly number: number;
  readonly kind: OperationKind;
  readonly path: string;
  /** The new path of a rename. */
  readonly to?: string;
  /** The bytes requested by a write, or the size requested by a truncation. */
  readonly sizeBytes?: number;
}

/** A planned failure. */
export interface Fault {
  /**
   * The operation to fail: the one with this number, or those for which the function returns true.
   */
  readonly at: number | ((operation: Operation) => boolean);
  /** The `code` of the error, such as EIO, ENOSPC or EACCES. */
  readonly code: string;
  /** How many operations fail; default 1. */
  readonly times?: number;
  /** How many bytes a failing write still writes; default 0. */
  readonly writtenBytes?: number;
}

/** Counts operations, delays them, and makes some of them fail. */
export class Operations {
  readonly random: Random;
  count = 0;
  /** Called after each operation. */
  done: ((operation: Operation) => void) | undefined;
  readonly #faults = new Set<{ readonly fault: Fault; left: number }>();

  constructor(random: Random) {
    this.random = random;
  }

  addFault(fault: Fault): () => void {
    const entry = { fault, left: fault.times ?? 1 };
    this.#faults.add(entry);
    return () => {
      this.#faults.delete(entry);
    };
  }

  /** Waits one to three turns of the event loop: long enough for others to begin or to overtake. */
  wait(): Promise<void> {
    let turns = 1 + Math.floor(this.random.next() * 3);
    return new Promise((resolve) => {
      const turn = (): void => {
        if (--turns === 0) resolve();
        else setImmediate(turn);
      };
      setImmediate(turn);
    });
  }

  /**
   * Runs `effect`, the whole operation, without a pause, or `failing` if a fault is due. An
   * `effect` that throws is an operation too.
   */
  run<T>(request: Omit<Operation, 'number'>, effect: () => T, failing?: (fault: Fault) => void): T {
    const operation = { number: ++this.count, ...request };
    const fault = this.#faultAt(operation);
    try {
      if (fault === undefined) return effect();
      failing?.(fault);
      throw systemError(fault.code, request.kind, request.path);
    } finally {
      this.done?.(operation);
    }
  }

  #faultAt(operation: Operation): Fault | undefined {
    for (const entry of this.#faults) {
      const { at } = entry.fault;
      if (typeof at === 'number' ? at !== operation.number : !at(operation)) continue;
      entry.left--;
      if (entry.left <= 0) this.#faults.delete(entry);
      return entry.fault;
    }
    return undefined;
  }
}

/** The messages of Node's errors with these codes. */
const TEXTS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EINVAL: 'invalid argument',
  EIO: 'i/o error',
  EISDIR: 'illegal operation on a directory',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
};

/** An error as Node's file system throws it. */
export function systemError(code: string, syscall: string, path: string): NodeJS.ErrnoException {
  const error = new Error(`${code}: ${TEXTS[code] ?? 'it failed'}, ${syscall} '${path}'`);
  return Object.assign(error, { code, syscall, path });
}
