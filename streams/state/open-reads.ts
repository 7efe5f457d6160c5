/** Entries that are being read, one after the other. */
interface OpenRead {
  /** Reads all that is left into memory. */
  finish(): void;
  /** Gives up what is left. */
  drop(): void;
}

/**
 * The lists that are being read of something that will change. Before it does, each one reads what
 * is left of it into memory, so that all of it shows one state. Free while nothing is read.
 */
export class OpenReads {
  readonly #open = new Set<OpenRead>();

  /**
   * Reads a list; call `return` when no more of it is needed.
   *
   * @param dropped throws the error of a list of which more is asked for after `drop`.
   */
  read<T>(rows: Iterator<T>, dropped: () => never): Required<Iterator<T>> {
    /** What was read into memory, newest first; undefined while it is read as it is. */
    let kept: T[] | undefined;
    let failure: unknown;
    let isDropped = false;
    const open = this.#open;
    const reading: OpenRead = {
      finish: () => {
        kept = [];
        try {
          for (let row = rows.next(); row.done !== true; row = rows.next()) kept.push(row.value);
        } catch (error) {
          failure = error; // that of the reader, not of what changes
        }
        kept.reverse();
      },
      drop: () => {
        kept = [];
        isDropped = true;
        rows.return?.();
      },
    };
    const end = (): IteratorReturnResult<undefined> => {
      open.delete(reading);
      kept = [];
      isDropped = false;
      return { done: true, value: undefined };
    };
    open.add(reading);
    return {
      next: () => {
        if (kept === undefined) {
          try {
            const row = rows.next();
            return row.done === true ? end() : row;
          } catch (error) {
            end(); // nothing of it is left to read
            throw error;
          }
        }
        if (isDropped) dropped();
        if (kept.length > 0) return { done: false, value: kept.pop()! };
        if (failure !== undefined) throw failure as Error;
        return end();
      },
      return: () => {
        rows.return?.();
        return end();
      },
      throw: (error) => {
        end();
        throw error as Error;
      },
    };
  }

  /** Call it before each change. */
  settle(): void {
    if (this.#open.size === 0) return;
    for (const reading of this.#open) reading.finish();
    this.#open.clear();
  }

  /** Call it instead before what is read closes, if nobody can be shown the rest. */
  drop(): void {
    for (const reading of this.#open) reading.drop();
    this.#open.clear();
  }
}
