import { Observable } from 'rxjs';
import type { Clock, Timer } from '../clock.ts';
import { LogError } from '../errors.ts';

/** What `ask` answers, at once and `everyMs` after each answer; completes when `ended` aborts. */
export function repeated<T>(
  ask: () => Promise<T>,
  options: { readonly clock: Clock; readonly everyMs: number; readonly ended: AbortSignal },
): Observable<T> {
  const { clock, everyMs, ended } = options;
  return new Observable((subscriber) => {
    let timer: Timer | undefined;
    const end = (): void => subscriber.complete();
    const turn = (): void => {
      ask().then(
        (answer) => {
          subscriber.next(answer);
          if (!subscriber.closed) timer = clock.setBackgroundTimer(everyMs, turn);
        },
        (error: unknown) => {
          if (LogError.is(error, 'CLOSED')) subscriber.complete();
          else subscriber.error(error);
        },
      );
    };
    ended.addEventListener('abort', end);
    subscriber.add(() => {
      timer?.cancel();
      ended.removeEventListener('abort', end);
    });
    if (ended.aborted) end();
    else turn();
  });
}
