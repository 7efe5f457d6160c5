import type { AsyncCall } from '../../streams/index.ts';

/** A call of a function that a test ends when it likes. */
export interface GatedCall<A, R> extends AsyncCall {
  readonly given: A;
  readonly resolve: (result: R) => void;
  readonly reject: (error: Error) => void;
}

/** A function that may take its time, and the calls of it that have not ended. */
export interface Gate<A, R> {
  readonly call: (given: A, call: AsyncCall) => Promise<R>;
  readonly open: GatedCall<A, R>[];
  /** What it was called with, each time. */
  readonly calls: A[];
}

export function gate<A, R>(): Gate<A, R> {
  const open: GatedCall<A, R>[] = [];
  const calls: A[] = [];
  const call = (given: A, { signal, attempt }: AsyncCall): Promise<R> => {
    calls.push(given);
    return new Promise((resolve, reject) => {
      const end = (): void => void open.splice(open.indexOf(gated), 1);
      const gated: GatedCall<A, R> = {
        ...{ given, signal, attempt },
        resolve: (result) => {
          end();
          resolve(result);
        },
        reject: (error) => {
          end();
          reject(error);
        },
      };
      open.push(gated);
    });
  };
  return { call, open, calls };
}
