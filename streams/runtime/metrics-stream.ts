import type { Observable } from 'rxjs';
import type { Clock } from '../../core/index.ts';
import { rxjs } from '../../core/internal.ts';
import type { StreamsMetrics } from './metrics.ts';

/** Emits metrics at regular times, and once more at the end. */
export function metricsEvery(options: {
  readonly everyMs: number;
  readonly clock: Clock;
  readonly read: () => StreamsMetrics;
  /** Completes at the end. */
  readonly life$: Observable<unknown>;
}): Observable<StreamsMetrics> {
  const { everyMs, clock, read, life$ } = options;
  return new (rxjs().Observable)((subscriber) => {
    const tick = (): void => {
      timer = clock.setBackgroundTimer(everyMs, tick); // before: `next` may unsubscribe
      subscriber.next(read());
    };
    let timer = clock.setBackgroundTimer(everyMs, tick);
    const last = (): void => {
      subscriber.next(read());
      subscriber.complete();
    };
    const ended = life$.subscribe({ complete: last });
    return () => {
      timer.cancel();
      ended.unsubscribe();
    };
  });
}
